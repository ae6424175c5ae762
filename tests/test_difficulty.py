import numpy as np
import pytest
from made_up_judged import columns, judged, simulated

from effreason.evaluation import resampling
from effreason.evaluation.difficulty import FEWEST, MOST_BINS, by_solve_rate, by_source

HARD = np.random.default_rng(0).uniform(0, 1, 600)
"""How hard each problem of a made-up suite is."""


def answered(seed: int, saved: np.ndarray | float, hard: np.ndarray = HARD):
    """A model that takes 100 to 300 tokens, less what it saves, and solves what is not too hard."""
    return simulated(seed, 1 - hard, (100 + 200 * hard) * (1 - saved))


def source_of(hard: np.ndarray = HARD) -> dict[str, float]:
    return {f"p{number:05}": float(value) for number, value in enumerate(hard)}


def test_bins_follow_the_solve_rate_of_half_the_samples():
    rights = [[1, 0] * 4] * 12 + [[0, 1] * 4] * 12 + [[1, 1, 1, 1, 0, 0, 0, 0]] * 12
    before = columns(np.full((36, 8), 50), np.array(rights))
    told = by_solve_rate(before, [before])
    assert [(each.label, each.problems) for each in told.bins] == [("easy", 12), ("medium", 12), ("hard", 12)]
    assert [each.accuracy_before.centre for each in told.bins] == [0, 0.5, 1]
    assert [(each.low, each.high) for each in told.bins] == [(0, 0), (0.5, 0.5), (1, 1)]


def test_two_of_three_is_easy_and_one_of_three_medium():
    rights = [[1, 0, 1, 0, 0, 0]] * 10 + [[1, 0, 0, 0, 0, 0]] * 10 + [[0] * 6] * 10
    told = by_solve_rate(
        columns(np.full((30, 6), 50), np.array(rights)), [columns(np.full((30, 6), 40), np.array(rights))]
    )
    assert [each.label for each in told.bins] == ["easy", "medium", "hard"]


def test_a_model_that_did_not_change_does_not_seem_to_get_better_at_hard_problems():
    """Were the same completions to place problems and to be compared, the hard ones would seem to recover."""
    luck = np.full(2000, 0.5)
    before, again = simulated(1, luck, np.full(2000, 100)), simulated(2, luck, np.full(2000, 100))
    for each in by_solve_rate(before, [again]).bins:
        assert each.accuracy_change.low <= 0.015 and each.accuracy_change.high >= -0.015
        assert abs(each.accuracy_before.centre - 0.5) < 0.03
    rates = before.right.reshape(2000, 8).mean(axis=1)
    naive = by_source(
        before, [again], dict(zip(np.unique(before.problem_ids).tolist(), (-rates).tolist(), strict=True))
    )
    assert naive.bins[-1].accuracy_change.low > 0.15


def test_saving_on_easy_problems_alone_has_a_falling_slope():
    told = by_solve_rate(answered(1, 0.0), [answered(2, 0.6 * (1 - HARD))])
    assert told.reduction_slope.high < -0.2
    assert told.tokens_slope_after.low > told.tokens_slope_before.centre > 0
    assert told.adaptation_after.low > told.adaptation_before.high
    easy, medium, hard = told.bins
    assert easy.token_reduction.low > medium.token_reduction.centre > hard.token_reduction.high


def test_saving_on_hard_problems_alone_has_a_rising_slope():
    told = by_solve_rate(answered(1, 0.0), [answered(2, 0.6 * HARD)])
    assert told.reduction_slope.low > 0.2
    assert told.adaptation_after.high < told.adaptation_before.low


def test_saving_the_same_share_everywhere_has_no_slope():
    told = by_source(answered(1, 0.0), [answered(2, 0.5)], source_of())
    assert told.reduction_slope.low < 0 < told.reduction_slope.high
    assert told.adaptation_after.centre == pytest.approx(told.adaptation_before.centre, rel=0.1)
    assert all(each.token_reduction.low < 0.51 and each.token_reduction.high > 0.49 for each in told.bins)


def test_slopes_are_those_of_least_squares():
    hard, before, after = HARD[:50], answered(1, 0.0, HARD[:50]), answered(2, 0.4 * HARD[:50], HARD[:50])
    told = by_source(before, [after], source_of(hard))
    old, new = (model.tokens.reshape(50, 8).mean(axis=1) for model in (before, after))
    assert told.tokens_slope_before.centre == pytest.approx(np.polyfit(hard, old, 1)[0])
    assert told.tokens_slope_after.centre == pytest.approx(np.polyfit(hard, new, 1)[0])
    weighed = np.polyfit(hard, 1 - new / old, 1, w=np.sqrt(old))
    assert told.reduction_slope.centre == pytest.approx(weighed[0])


def test_the_adaptation_ratio_is_hardest_over_easiest():
    tokens = np.repeat([[10, 10], [20, 20], [70, 90]], 12, axis=0)
    before = columns(tokens, np.ones((36, 2)))
    told = by_source(before, [columns(tokens // 2, np.ones((36, 2)))], source_of(np.repeat([1.0, 2.0, 3.0], 12)))
    assert (told.adaptation_before.centre, told.adaptation_after.centre) == pytest.approx((8, 8))
    assert [each.label for each in told.bins] == ["1", "2", "3"]


def test_many_values_share_bins_of_about_equally_many_problems():
    values = np.repeat(np.arange(2, 11), 20).astype(float)
    model = simulated(1, np.full(180, 0.9), 20 * values)
    told = by_source(model, [model], source_of(values))
    assert len(told.bins) == MOST_BINS and sum(each.problems for each in told.bins) == 180
    assert all(each.problems <= 40 for each in told.bins)
    assert told.bins[0].low == 2 and told.bins[-1].high == 10
    assert told.bins[0].label == "2 to 3"


def test_a_bin_of_few_problems_tells_no_figure():
    values = np.array([1.0] * 40 + [2.0] * (FEWEST - 1))
    model = simulated(1, np.full(len(values), 0.9), np.full(len(values), 50))
    told = by_source(model, [model], source_of(values))
    small = told.bins[1]
    assert (
        small.problems == FEWEST - 1 and small.tokens_before is small.accuracy_change is small.token_reduction is None
    )
    assert told.adaptation_before is None and "at least 10 problems" in told.missing["adaptation_before"]
    assert told.reduction_slope is not None and "reduction_slope" not in told.missing


def test_equal_difficulty_has_no_slope():
    model = simulated(1, np.full(40, 0.9), np.full(40, 50))
    told = by_source(model, [model], dict.fromkeys(source_of(), 3.0))
    assert told.reduction_slope is told.adaptation_after is None
    assert {*told.missing} == {
        "reduction_slope", "tokens_slope_before", "tokens_slope_after", "adaptation_before", "adaptation_after",
    }  # fmt: skip


def test_one_sample_of_each_problem_cannot_both_place_and_compare():
    model = judged({f"p{number}": [(5, True)] for number in range(50)})
    told = by_solve_rate(model, [model])
    assert told.bins == () and "two completions" in told.missing["reduction_slope"]


def test_problems_without_a_difficulty_are_left_out():
    model = simulated(1, np.full(40, 0.9), np.full(40, 50))
    told = by_source(model, [model], {**source_of(HARD[:40]), "p00000": None, "elsewhere": 9.0})
    assert sum(each.problems for each in told.bins) == 39
    assert (
        by_source(model, [model], {}).missing["adaptation_after"]
        == "The source gives no difficulty for these problems."
    )


def test_slopes_and_ratios_are_covered_19_times_in_20(monkeypatch):
    monkeypatch.setattr(resampling, "DRAWS", 500)
    random, runs, problems = np.random.default_rng(6), 150, 80
    hits = np.zeros(3)
    for run in range(runs):
        hard = random.uniform(0, 1, problems)
        before, after = (
            answered(1000 + run + seed, saved, hard) for seed, saved in ((0, 0.0), (9999, 0.6 - 0.4 * hard))
        )
        told = by_source(before, [after], source_of(hard))
        truths = ((told.tokens_slope_before, 200), (told.reduction_slope, -0.4))
        hits[:2] += [interval.low <= truth <= interval.high for interval, truth in truths]
        low, high = hard[hard < np.quantile(hard, 0.2)].mean(), hard[hard > np.quantile(hard, 0.8)].mean()
        ratio = (100 + 200 * high) / (100 + 200 * low)
        hits[2] += told.adaptation_before.low <= ratio <= told.adaptation_before.high
    assert (hits / runs >= 0.93 - 2 * (0.05 * 0.95 / runs) ** 0.5).all()
