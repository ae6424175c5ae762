"""The length rewards: hand-computed values, and what must hold of every group."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from effreason.choices import SigmoidPenalty
from effreason.records import Outcome, Verdict
from effreason.rewards import shape
from effreason.rewards.sigmoid import sigmoid_rewards

outcomes = st.builds(Outcome, st.integers(0, 10**6), st.sampled_from(Verdict))
groups = st.lists(outcomes, min_size=1, max_size=16)
alphas = st.floats(0, 0.99)


def right(tokens: int) -> Outcome:
    return Outcome(tokens, Verdict.RIGHT)


def wrong(tokens: int) -> Outcome:
    return Outcome(tokens, Verdict.WRONG)


def unjudged(tokens: int) -> Outcome:
    return Outcome(tokens, Verdict.UNJUDGED)


def test_two_correct_lengths_are_one_deviation_from_their_mean() -> None:
    # mean 20, population deviation 10: z = -1 and 1; sigmoid(1) = 0.7310585786
    rewards = sigmoid_rewards([right(10), right(30)], alpha=0.4)
    assert rewards == pytest.approx([1 - 0.4 * 0.2689414214, 1 - 0.4 * 0.7310585786], abs=1e-7)


def test_the_spread_is_that_of_the_population_of_correct_completions() -> None:
    # lengths 10, 20, 60: mean 30, variance (400 + 100 + 900) / 3
    deviation = math.sqrt(1400 / 3)
    expected = [1 - 0.2 / (1 + math.exp(-z / deviation)) for z in (-20, -10, 30)]
    rewards = sigmoid_rewards([right(10), right(20), wrong(5000), right(60), unjudged(1)], alpha=0.2)
    assert rewards == [
        pytest.approx(expected[0], abs=1e-8),
        pytest.approx(expected[1], abs=1e-8),
        0.0,
        pytest.approx(expected[2], abs=1e-8),
        None,
    ]


@pytest.mark.parametrize("group", [[right(700)], [right(700), wrong(5), unjudged(9)], [right(700), right(700)]])
def test_a_correct_completion_that_differs_from_none_earns_the_middle(group: list[Outcome]) -> None:
    assert sigmoid_rewards(group, alpha=0.4)[0] == pytest.approx(1 - 0.4 / 2)


def test_a_group_without_a_correct_completion_earns_nothing() -> None:
    assert sigmoid_rewards([wrong(1), unjudged(2)], alpha=0.4) == [0.0, None]


@given(groups, alphas)
def test_a_wrong_answer_never_outranks_a_right_one(group: list[Outcome], alpha: float) -> None:
    rewards = sigmoid_rewards(group, alpha)
    lowest_right = min((r for r, o in zip(rewards, group, strict=True) if o.correct and r is not None), default=1.0)
    assert all(r is None or r < lowest_right for r, o in zip(rewards, group, strict=True) if not o.correct)


@given(groups)
def test_alpha_zero_is_plain_correctness(group: list[Outcome]) -> None:
    assert sigmoid_rewards(group, 0.0) == [float(o.correct) if o.judged else None for o in group]


@given(groups, alphas, st.randoms(use_true_random=False))
def test_a_reward_goes_with_its_completion_wherever_it_stands(group: list[Outcome], alpha: float, random) -> None:
    order = random.sample(range(len(group)), len(group))
    shuffled = sigmoid_rewards([group[index] for index in order], alpha)
    rewards = sigmoid_rewards(group, alpha)
    assert shuffled == pytest.approx([rewards[index] for index in order])


@given(groups, alphas)
def test_of_two_correct_completions_the_shorter_never_earns_less(group: list[Outcome], alpha: float) -> None:
    earned = sorted(
        (o.tokens, -r) for o, r in zip(group, sigmoid_rewards(group, alpha), strict=True) if o.correct and r
    )
    assert [loss for _, loss in earned] == sorted(loss for _, loss in earned)


@given(groups, alphas, outcomes.filter(lambda outcome: not outcome.correct))
def test_wrong_and_unjudged_lengths_are_in_no_statistic(group: list[Outcome], alpha: float, other: Outcome) -> None:
    assert sigmoid_rewards([*group, other], alpha)[:-1] == sigmoid_rewards(group, alpha)


@given(st.lists(st.integers(0, 10**15).map(right), min_size=1, max_size=64), alphas)
def test_lengths_beyond_any_context_neither_overflow_nor_leave_the_range(group: list[Outcome], alpha: float) -> None:
    assert all(reward is not None and 1 - alpha <= reward <= 1 for reward in sigmoid_rewards(group, alpha))


def test_a_penalty_is_chosen_by_its_type() -> None:
    group = [right(3), right(9), wrong(4)]
    assert shape(SigmoidPenalty(), group, 0.3) == sigmoid_rewards(group, 0.3)
