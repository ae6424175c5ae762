"""Credit within a group: leave-one-out, by its definition and by its laws."""

from statistics import fmean

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from effreason.advantages import advantages, leave_one_out
from effreason.choices import LeaveOneOut
from effreason.records import Outcome, Verdict
from effreason.rewards.sigmoid import sigmoid_rewards

rewards = st.lists(st.none() | st.floats(0, 1), min_size=1, max_size=16)


def test_three_of_four_judged() -> None:
    # judged 1, 0, 0.5 with mean 0.5; times 3 / 2
    assert leave_one_out([1.0, None, 0.0, 0.5]) == pytest.approx([0.75, 0.0, -0.75, 0.0])


@given(rewards)
def test_an_advantage_is_the_reward_less_the_mean_of_the_others(group: list[float | None]) -> None:
    judged = [reward for reward in group if reward is not None]
    assume(len(judged) >= 2)
    found = leave_one_out(group)
    for place, reward in enumerate(group):
        if reward is not None:
            others = [r for other, r in enumerate(group) if other != place and r is not None]
            assert found[place] == pytest.approx(reward - fmean(others), abs=1e-9)


@given(rewards)
def test_the_advantages_of_a_group_add_up_to_nothing(group: list[float | None]) -> None:
    assert sum(leave_one_out(group)) == pytest.approx(0.0, abs=1e-9)


@given(rewards)
def test_what_could_not_be_judged_has_no_credit(group: list[float | None]) -> None:
    assert all(a == 0 for a, reward in zip(leave_one_out(group), group, strict=True) if reward is None)


@pytest.mark.parametrize("group", [[None, None], [0.7], [None, 0.7, None]])
def test_fewer_than_two_judged_teach_nothing(group: list[float | None]) -> None:
    assert leave_one_out(group) == [0.0] * len(group)


@given(st.lists(st.integers(1, 4000), min_size=2, max_size=8, unique=True), st.floats(0.01, 0.4))
def test_in_an_all_correct_group_the_advantages_are_proportional_to_alpha(lengths: list[int], alpha: float) -> None:
    group = [Outcome(tokens, Verdict.RIGHT) for tokens in lengths]
    small, double = (leave_one_out(sigmoid_rewards(group, strength)) for strength in (alpha, 2 * alpha))
    assert double == pytest.approx([2 * advantage for advantage in small], abs=1e-9)


def test_each_group_of_a_batch_is_credited_by_itself() -> None:
    assert advantages(LeaveOneOut(), [[1.0, 0.0], [0.5, 0.5, None]]) == [[1.0, -1.0], [0.0, 0.0, 0.0]]
