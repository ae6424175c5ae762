"""alpha by step, and the alarm for reward hacking."""

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from effreason.alarm import alarm
from effreason.choices import AccuracyConstrained, ConstantAlpha, LinearWarmup
from effreason.rewards.schedule import alpha_at

accuracies = st.lists(st.floats(0, 1), max_size=60)


def test_constant_is_the_cells_alpha_from_the_first_step_on():
    assert [alpha_at(ConstantAlpha(), 0.4, [1.0] * step) for step in range(3)] == [0.4] * 3


def test_a_warmup_rises_from_0_in_equal_steps_and_stays():
    found = [alpha_at(LinearWarmup(steps=4), 0.4, [0.0] * step) for step in range(7)]
    assert found == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.4, 0.4])


@given(accuracies, st.floats(0, 2))
def test_a_constrained_alpha_stays_between_0_and_its_ceiling(found, ceiling):
    assert 0 <= alpha_at(AccuracyConstrained(), ceiling, found) <= ceiling


@given(accuracies)
def test_a_constrained_alpha_is_0_while_the_accuracy_to_hold_is_being_found(found):
    schedule = AccuracyConstrained(free_steps=5)
    assert alpha_at(schedule, 0.8, found[:4]) == 0


def test_alpha_rises_while_the_accuracy_holds_and_falls_when_it_is_lost():
    schedule = AccuracyConstrained(free_steps=5)
    held = [0.95] * 30
    rising = [alpha_at(schedule, 0.8, held[:step]) for step in range(4, 31)]
    assert rising == sorted(rising)
    assert rising[-1] > 0.3
    lost = [alpha_at(schedule, 0.8, held + [0.85] * step) for step in range(1, 20)]
    assert lost[-1] == 0


def test_an_alpha_that_broke_the_limit_is_come_back_to_slowly():
    schedule = AccuracyConstrained(free_steps=5)
    held = [0.95] * 20
    broken = held + [0.85] * 10
    first = [alpha_at(schedule, 0.8, held[:step]) for step in range(5, 21)]
    again = [alpha_at(schedule, 0.8, broken + [0.95] * step) for step in range(60)]
    above = [after - before for before, after in pairwise(again) if before > first[-1] / 2]
    assert again[0] == 0 < max(again)
    assert 0 < max(above) <= (first[-1] - first[-2]) / 4


def test_luck_in_the_batches_does_not_keep_alpha_down():
    schedule, random = AccuracyConstrained(max_accuracy_loss=0.02), Random(3)
    lucky = [[random.gauss(0.96, 0.025) for _ in range(60)] for _ in range(100)]
    found = sorted(alpha_at(schedule, 1.0, accuracies) for accuracies in lucky)
    assert found[50] > 0.3


def lines(reward: list[float], accuracy: list[float], alpha: float = 0.4) -> list[dict[str, float | None]]:
    random = Random(1)
    return [
        {"step": step, "alpha": alpha, "reward": r + random.gauss(0, 0.01), "accuracy": a + random.gauss(0, 0.01)}
        for step, (r, a) in enumerate(zip(reward, accuracy, strict=True), start=1)
    ]


def test_the_alarm_sounds_when_the_reward_rises_and_the_accuracy_falls():
    sounded = alarm(lines([0.6] * 10 + [0.7] * 10, [0.9] * 10 + [0.8] * 10))
    assert sounded is not None
    assert sounded.step <= 20
    assert "accuracy fell from 90" in sounded.sentence


@pytest.mark.parametrize(
    ("reward", "accuracy"),
    [
        ([0.6] * 10 + [0.7] * 10, [0.8] * 10 + [0.9] * 10),
        ([0.7] * 10 + [0.6] * 10, [0.9] * 10 + [0.8] * 10),
        ([0.6] * 20, [0.9] * 20),
        ([0.6] * 8 + [0.7] * 8, [0.9] * 8 + [0.8] * 8),
    ],
)
def test_the_alarm_is_silent_when_both_go_together_or_too_little_is_known(reward, accuracy):
    assert alarm(lines(reward, accuracy)) is None


def test_rewards_at_different_alphas_are_not_compared():
    first, second = lines([0.6] * 10, [0.9] * 10, alpha=0.4), lines([0.7] * 10, [0.8] * 10, alpha=0.2)
    assert alarm(first + second) is None


def test_noise_alone_seldom_sounds_the_alarm():
    random = Random(7)
    noisy = [
        [
            {"step": step, "alpha": 0.4, "reward": random.gauss(0.6, 0.03), "accuracy": random.gauss(0.9, 0.03)}
            for step in range(1, 101)
        ]
        for _ in range(100)
    ]
    assert sum(alarm(each) is not None for each in noisy) <= 5
