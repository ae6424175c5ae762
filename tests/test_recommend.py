import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_judged import columns, simulated

from effreason.artifacts import Interval
from effreason.evaluation.measures import Change, change, pooled_change
from effreason.evaluation.recommend import recommend, validation_changes
from effreason.specs import Selection

SELECTION = Selection(max_accuracy_loss=0.01, confidence=0.95)


def made(worst: float, saved: float) -> Change:
    """The accuracy changes by `worst` at worst, and `saved` of the tokens are saved, give or take three points."""
    return Change(Interval(worst, worst + 0.01, worst + 0.02), Interval(saved - 0.03, saved, saved + 0.03))


def test_the_largest_saving_within_the_limit_is_recommended():
    chosen = recommend({0.1: made(0.002, 0.3), 0.2: made(-0.004, 0.51), 0.4: made(-0.03, 0.8)}, SELECTION)
    assert chosen.alpha == 0.2
    told = (
        "alpha 0.2 saves 51.0% [48.0, 54.0] of the tokens and loses at most 0.4 points of accuracy "
        "(95%, jointly over the 3 "
    )
    assert told in chosen.reason


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
    assert chosen.alpha is None and "No alpha is shown to save tokens" in chosen.reason


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


def policy(seed: int, accuracy: float, tokens: int, problems: int = 100):
    return simulated(seed, np.full(problems, accuracy), np.full(problems, tokens), samples=4)


def test_a_lone_alpha_has_the_one_sided_limit():
    before, after = policy(1, 0.9, 100), policy(2, 0.9, 50)
    [told] = validation_changes(before, {0.1: [after]}, SELECTION).values()
    assert told.accuracy == change(before, after, 0.90).accuracy
    assert told.token_reduction == change(before, after).token_reduction
    assert validation_changes(before, {0.0: [before], 0.1: [after]}, SELECTION)[0.1] == told


def test_every_alpha_gets_its_share_of_the_error():
    before, after = policy(1, 0.9, 100), [policy(seed, 0.9, 50) for seed in range(2, 6)]
    changes = validation_changes(before, {0.1 * (i + 1): [model] for i, model in enumerate(after)}, SELECTION)
    alone = change(before, after[0], 0.90)
    assert changes[0.1].accuracy == change(before, after[0], 1 - 0.1 / 4).accuracy
    assert changes[0.1].accuracy.low < alone.accuracy.low < changes[0.1].accuracy.centre == alone.accuracy.centre
    assert changes[0.1].token_reduction.low < alone.token_reduction.low


LIMIT = 0.05
"""Of accuracy, which every alpha loses: the hardest case, since a larger loss is seen more easily."""


def recommended(runs: int, at_once: bool) -> float:
    """How often one of four alphas is recommended, all of which lose too much."""
    random, taken, selection = np.random.default_rng(5), 0, Selection(max_accuracy_loss=LIMIT)
    for _ in range(runs):
        solved = random.beta(8, 2, 150)
        before = columns(np.full((150, 4), 100), random.random((150, 4)) < solved[:, None])
        kept = solved[:, None] * (1 - LIMIT / 0.8)
        after = {
            alpha: [columns(np.full((150, 4), 50), random.random((150, 4)) < kept)] for alpha in (0.1, 0.2, 0.3, 0.4)
        }
        changes = (
            validation_changes(before, after, selection)
            if at_once
            else {alpha: change(before, judged, 0.90) for alpha, [judged] in after.items()}
        )
        taken += recommend(changes, selection).alpha is not None
    return taken / runs


def test_an_alpha_that_loses_too_much_is_recommended_less_than_once_in_20():
    runs = 200
    assert recommended(runs, at_once=True) <= 0.05 + 2 * (0.05 * 0.95 / runs) ** 0.5


def test_without_that_control_it_would_be_far_more_often():
    assert recommended(100, at_once=False) > 0.09


def test_seeds_of_one_alpha_are_judged_together():
    before, seeds = policy(1, 0.9, 100), [policy(2, 0.9, 40), policy(3, 0.9, 60)]
    alone, together = change(before, seeds[0]), pooled_change(before, seeds)
    assert together.token_reduction.centre == pytest.approx(0.5, abs=0.02)
    assert np.ptp(together.accuracy[::2]) < np.ptp(alone.accuracy[::2])


def test_a_clear_case_ends_in_a_recommendation():
    after = {0.1: [policy(2, 0.97, 50)], 0.4: [policy(3, 0.70, 20)]}
    told = recommend(validation_changes(policy(1, 0.90, 100), after, SELECTION), SELECTION)
    assert told.alpha == 0.1 and "jointly over the 2 alphas" in told.reason


def test_texts_are_not_needed_to_choose():
    before, after = policy(1, 0.9, 100), policy(2, 0.9, 50)
    bare = validation_changes(before.without_texts(), {0.1: [after.without_texts()]}, SELECTION)
    assert bare == validation_changes(before, {0.1: [after]}, SELECTION)
