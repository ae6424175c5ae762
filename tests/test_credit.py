"""Advantages of a batch: the laws of each estimator, and what filtering leaves."""

from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_microbatches import rollout

from effreason.advantages import advantages
from effreason.choices import (
    BatchNormalised,
    DropBelowAlpha,
    DropBelowSpread,
    DropZero,
    GroupNormalised,
    KeepAll,
    LeaveOneOut,
    LengthTargetPenalty,
    MeanCentred,
    MinMaxPenalty,
    PolicyGradient,
    SftShortest,
    ShortestCorrectPenalty,
    SigmoidPenalty,
    SolveRatePenalty,
    TruncationPenalty,
)
from effreason.records import Judgement, Outcome, Verdict
from effreason.rewards import Terms, shape
from effreason.training.credit import credit, shortest
from effreason.training.filtering import Thresholds, above, thresholds
from effreason.training.gae import gae, whitened

ESTIMATORS = (LeaveOneOut(), MeanCentred(), GroupNormalised(), BatchNormalised())

rewards = st.lists(st.one_of(st.none(), st.floats(-2, 2, width=32)), min_size=1, max_size=8)
batches = st.lists(rewards, min_size=1, max_size=5)


@given(batches)
@pytest.mark.parametrize("choice", ESTIMATORS, ids=lambda choice: choice.kind)
def test_advantages_sum_to_zero_over_the_judged_of_a_group(choice, batch):
    for group, credited in zip(batch, advantages(choice, batch), strict=True):
        assert sum(credited) == pytest.approx(0, abs=1e-6 * (1 + sum(map(abs, credited))))
        assert all(advantage == 0 for advantage, reward in zip(credited, group, strict=True) if reward is None)


@given(batches)
@pytest.mark.parametrize("choice", ESTIMATORS, ids=lambda choice: choice.kind)
def test_a_group_with_fewer_than_two_judged_teaches_nothing(choice, batch):
    for group, credited in zip(batch, advantages(choice, batch), strict=True):
        if sum(reward is not None for reward in group) < 2:
            assert not any(credited)


@given(batches)
def test_leave_one_out_is_the_reward_less_the_mean_of_the_others(batch):
    for group, credited in zip(batch, advantages(LeaveOneOut(), batch), strict=True):
        judged = [reward for reward in group if reward is not None]
        for reward, advantage in zip(group, credited, strict=True):
            if reward is not None and len(judged) > 1:
                assert advantage == pytest.approx(reward - (sum(judged) - reward) / (len(judged) - 1), abs=1e-9)


def test_a_group_is_divided_by_its_own_spread_and_the_floor():
    batch = [[1.0, 0.0], [4.0, 0.0, None]]
    assert advantages(GroupNormalised(floor=0.5), batch) == [[0.5, -0.5], [0.8, -0.8, 0]]


def test_a_batch_is_divided_by_the_spread_of_all_its_judged_and_the_floor():
    batch = [[1.0, 0.0, None, None], [7.0, 0.0, None]]
    assert advantages(BatchNormalised(floor=2.5), batch) == [[0.1, -0.1, 0, 0], [0.7, -0.7, 0]]


def all_correct(alpha: float) -> list[float | None]:
    group = [Outcome(tokens, Verdict.RIGHT) for tokens in (40, 55, 60, 75, 80, 90, 120, 160)]
    return shape(SigmoidPenalty(), [group], alpha, Terms(256))[0]


def test_dividing_by_the_groups_spread_erases_alpha_and_leaving_one_out_does_not():
    small, large = ([all_correct(alpha)] for alpha in (0.05, 0.4))
    erased = [advantages(GroupNormalised(), batch)[0] for batch in (small, large)]
    np.testing.assert_allclose(erased[0], erased[1], rtol=0.01)
    kept = [advantages(LeaveOneOut(), batch)[0] for batch in (small, large)]
    np.testing.assert_allclose(8 * np.array(kept[0]), kept[1])


def test_the_spread_of_the_batch_keeps_the_weight_of_alpha_against_correctness():
    mixed = [1.0, 1.0, 0.0, 0.0]
    sizes = [max(advantages(BatchNormalised(), [all_correct(alpha), mixed])[0]) for alpha in (0.05, 0.4)]
    assert sizes[1] > 6 * sizes[0]


@given(batches)
def test_whitened_advantages_have_mean_0_and_deviation_1(batch):
    credited = credit(PolicyGradient(whiten=True), batch, [])
    judged = [
        a
        for group, rewards in zip(credited, batch, strict=True)
        for a, r in zip(group, rewards, strict=True)
        if r is not None
    ]
    plain = [
        a
        for group, rewards in zip(advantages(LeaveOneOut(), batch), batch, strict=True)
        for a, r in zip(group, rewards, strict=True)
        if r is not None
    ]
    if judged and np.std(plain) > 1e-3:
        assert np.mean(judged) == pytest.approx(0, abs=1e-6)
        assert np.std(judged) == pytest.approx(1, abs=1e-3)


def test_supervised_learning_takes_the_first_of_the_shortest_correct_ones():
    right, wrong = Verdict.RIGHT, Verdict.WRONG
    group = [Outcome(9, right), Outcome(3, wrong), Outcome(5, right), Outcome(5, right)]
    assert shortest(group) == [0, 0, 1, 0]
    assert credit(SftShortest(), [[0.0, 0.0]], [[Outcome(3, wrong), Outcome(4, wrong)]]) == [[0, 0]]


# ---------------------------------------------------------------------------------------------------- filtering


def test_thresholds_go_with_alpha_or_with_the_spread_of_the_batch():
    credited = [-1.0, 1.0, -1.0, 1.0]
    assert thresholds(KeepAll(), credited, 0.4, 4) == Thresholds(-1, -1)
    assert thresholds(DropZero(), credited, 0.4, 4) == Thresholds(0, 0)
    assert thresholds(DropBelowAlpha(threshold=0.1), credited, 0.4, 4) == Thresholds(0.1 * 0.4, 0.1 * 0.4)
    assert thresholds(DropBelowSpread(threshold=0.1), [5 * one for one in credited], 0.4, 4) == Thresholds(0.5, 0.5)


def test_an_advantage_at_the_threshold_is_left_out():
    rollouts = [replace(rollout(0, 40), advantage=one) for one in (0.0, 0.5, -0.5, -0.7)]
    assert [one.advantage for one in above(rollouts, Thresholds(0.0, 0.0))] == [0.5, -0.5, -0.7]
    assert [one.advantage for one in above(rollouts, Thresholds(0.5, 0.0))] == [-0.7]


def test_a_fixed_threshold_would_erase_small_alphas_and_one_relative_to_alpha_does_not():
    for alpha in (0.05, 0.1, 0.4):
        credited = advantages(LeaveOneOut(), [all_correct(alpha)])[0]
        kept = sum(abs(one) > thresholds(DropBelowAlpha(threshold=0.1), credited, alpha, 8).alike for one in credited)
        assert kept >= 5
        assert (sum(abs(one) > 0.1 for one in credited) == 0) is (alpha <= 0.1)


PRICED = (
    (SolveRatePenalty(unit=100), 12.0),
    (ShortestCorrectPenalty(unit=100), 12.0),
    (LengthTargetPenalty(target=50), 12.0),
    (MinMaxPenalty(), 1.9),
    (TruncationPenalty(), 0.75),
)
"""Alphas that are no share of the reward, or close to all of it."""


@pytest.mark.parametrize("baseline", [LeaveOneOut(), MeanCentred()], ids=lambda choice: choice.kind)
@pytest.mark.parametrize(("penalty", "alpha"), PRICED, ids=lambda value: getattr(value, "kind", value))
@pytest.mark.parametrize("size", [2, 8, 16, 64])
def test_being_right_where_one_other_is_wrong_is_learned_from_at_any_price_of_length(penalty, alpha, baseline, size):
    group = [Outcome(40, Verdict.RIGHT)] * (size - 1) + [Outcome(40, Verdict.WRONG)]
    credited = advantages(baseline, shape(penalty, [group], alpha, Terms(256)))[0]
    limits = thresholds(DropBelowAlpha(), credited, alpha, size)
    rollouts = [
        replace(rollout(0, 40), sample=sample, advantage=advantage, judgement=Judgement(outcome.verdict, None))
        for sample, (advantage, outcome) in enumerate(zip(credited, group, strict=True))
    ]
    assert above(rollouts, limits) == rollouts


def test_where_all_are_right_the_threshold_goes_with_the_price_of_length():
    assert thresholds(DropBelowAlpha(threshold=0.1), [], 12.0, 8) == Thresholds(alike=0.1 * 12, mixed=1 / 9)
    credited = [0.5] * 7 + [2.0]
    rollouts = [replace(rollout(0, 40), advantage=one) for one in credited]
    assert [one.advantage for one in above(rollouts, Thresholds(alike=1.2, mixed=1 / 9))] == [2.0]


# ---------------------------------------------------------------------------------- generalised advantage estimation


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=20), st.floats(-1, 1))
def test_with_lambda_1_the_advantage_is_the_reward_less_the_value(values, reward):
    np.testing.assert_allclose(gae(np.array(values), reward, 1.0, 1.0), reward - np.array(values), atol=1e-9)


def test_with_lambda_0_the_advantage_is_one_steps_surprise():
    found = gae(np.array([0.2, 0.5, 0.4]), 1.0, 0.9, 0.0)
    np.testing.assert_allclose(found, [0.9 * 0.5 - 0.2, 0.9 * 0.4 - 0.5, 1.0 - 0.4])


def test_in_between_surprises_fade_by_discount_times_lambda():
    found = gae(np.array([0.2, 0.5]), 1.0, 0.9, 0.5)
    np.testing.assert_allclose(found, [(0.9 * 0.5 - 0.2) + 0.9 * 0.5 * (1.0 - 0.5), 1.0 - 0.5])


def test_all_tokens_of_a_batch_are_whitened_together():
    one, other = whitened([np.array([1.0, 3.0]), np.array([5.0])])
    np.testing.assert_allclose(np.concatenate([one, other]), np.array([-2, 0, 2]) / sqrt(8 / 3), atol=1e-6)
