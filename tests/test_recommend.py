import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from effreason.artifacts import Interval
from effreason.evaluation.completions import read_completions, write_completions
from effreason.evaluation.measures import Change, change, pooled_change
from effreason.evaluation.recommend import recommend, two_sided
from effreason.records import JudgedCompletion, Verdict
from effreason.specs import Selection

SELECTION = Selection(max_accuracy_loss=0.01, confidence=0.95)


def made(worst: float, saved: float) -> Change:
    """The accuracy changes by `worst` at worst, and `saved` of the tokens are saved, give or take three points."""
    return Change(Interval(worst, worst + 0.01, worst + 0.02), Interval(saved - 0.03, saved, saved + 0.03))


def test_the_largest_saving_within_the_limit_is_recommended():
    chosen = recommend({0.1: made(0.002, 0.3), 0.2: made(-0.004, 0.51), 0.4: made(-0.03, 0.8)}, SELECTION)
    assert chosen.alpha == 0.2
    assert "alpha 0.2 saves 51% of the tokens [48, 54] and loses at most 0.4 points of accuracy at 95%" in chosen.reason


def test_a_gain_is_called_a_gain():
    assert "gains at least 0.2 points" in recommend({0.1: made(0.002, 0.3)}, SELECTION).reason


def test_alpha_0_is_the_control_and_never_recommended():
    chosen = recommend({0.0: made(0.01, 0.9), 0.1: made(0.0, 0.2)}, SELECTION)
    assert chosen.alpha == 0.1
    alone = recommend({0.0: made(0.01, 0.9)}, SELECTION)
    assert alone.alpha is None and "alpha 0" in alone.reason


def test_where_all_lose_too_much_the_closest_is_named():
    chosen = recommend({0.1: made(-0.02, 0.3), 0.2: made(-0.05, 0.6)}, SELECTION)
    assert chosen.alpha is None
    assert "1.0 points" in chosen.reason and "alpha 0.1" in chosen.reason and "2.0 points" in chosen.reason


def test_what_may_save_nothing_is_not_recommended():
    chosen = recommend({0.1: made(0.0, 0.02)}, SELECTION)
    assert chosen.alpha is None and "No alpha surely saves tokens" in chosen.reason


def test_without_a_validation_part_there_is_no_recommendation():
    chosen = recommend({}, SELECTION)
    assert chosen.alpha is None and "validation_problems" in chosen.reason


alphas = st.sampled_from([0.0, 0.05, 0.1, 0.2, 0.4])
candidates = st.dictionaries(alphas, st.builds(made, st.floats(-0.1, 0.1), st.floats(-0.5, 0.9)))


@given(candidates, st.floats(0, 0.2))
def test_a_recommended_alpha_keeps_the_limit_and_nothing_within_it_saves_more(changes, limit):
    chosen = recommend(changes, Selection(max_accuracy_loss=limit)).alpha
    within = {
        alpha: change.token_reduction.centre
        for alpha, change in changes.items()
        if alpha > 0 and change.accuracy.low >= -limit and change.token_reduction.low > 0
    }
    assert within.get(chosen) == max(within.values(), default=None)


@given(candidates, st.floats(0, 0.1), st.floats(0, 0.1))
def test_a_stricter_limit_never_saves_more(changes, one, other):
    def saved(limit: float) -> float:
        alpha = recommend(changes, Selection(max_accuracy_loss=limit)).alpha
        return 0.0 if alpha is None else changes[alpha].token_reduction.centre

    assert saved(min(one, other)) <= saved(max(one, other))


def test_too_little_data_is_called_so():
    chosen = recommend({0.1: Change(None, None)}, SELECTION)
    assert chosen.alpha is None and "too small" in chosen.reason


def evaluation(folder, accuracy: float, tokens: int, seed: int, problems: int = 100):
    """Completions of a model with this accuracy and these tokens on average."""
    random = np.random.default_rng(seed)
    path = folder / f"{seed}.parquet"
    completions = [
        JudgedCompletion(
            "validation", f"p{problem:03}", sample, "", int(random.poisson(tokens)), False,
            Verdict.RIGHT if random.random() < accuracy else Verdict.WRONG, None,
        )
        for problem in range(problems)
        for sample in range(4)
    ]  # fmt: skip
    write_completions(path, completions)
    return read_completions(path)["validation"]


def test_the_limit_is_one_sided(tmp_path):
    before, after = evaluation(tmp_path, 0.9, 100, 1), evaluation(tmp_path, 0.9, 50, 2)
    assert two_sided(SELECTION) == pytest.approx(0.90)
    one_sided, usual = change(before, after, two_sided(SELECTION)), change(before, after)
    assert usual.accuracy.low < one_sided.accuracy.low < usual.accuracy.centre == one_sided.accuracy.centre
    assert one_sided.token_reduction == usual.token_reduction


def test_seeds_of_one_alpha_are_judged_together(tmp_path):
    before = evaluation(tmp_path, 0.9, 100, 1)
    seeds = [evaluation(tmp_path, 0.9, tokens, seed) for seed, tokens in ((2, 40), (3, 60))]
    alone, together = change(before, seeds[0]), pooled_change(before, seeds)
    assert together.token_reduction.centre == pytest.approx(0.5, abs=0.02)
    assert np.ptp(together.accuracy[::2]) < np.ptp(alone.accuracy[::2])


def test_a_clear_case_ends_in_a_recommendation(tmp_path):
    before = evaluation(tmp_path, 0.90, 100, 1)
    after = {0.1: evaluation(tmp_path, 0.97, 50, 2), 0.4: evaluation(tmp_path, 0.70, 20, 3)}
    changes = {alpha: change(before, judged, two_sided(SELECTION)) for alpha, judged in after.items()}
    assert recommend(changes, SELECTION).alpha == 0.1
