"""Which completions of a batch pass through the update: the gradient filtering of DASH, "Effective RL for Reasoning in
Language Models" (arXiv 2505.17218), with these departures:

1. the filter works before the forward pass, so that what is left out costs nothing (theirs saves the backward only);
2. its threshold is relative to alpha or to the spread of the batch's advantages: their fixed 0.1 would drop every
   completion of an all-correct group at alpha <= 0.1, and with them all pressure on length. An alpha that is a price
   and no share of the reward may be any number, so where right and wrong meet in a group it has a limit;
3. what the loss is divided by counts the completions that are left out, so that the size of a step stays.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import pstdev

from effreason.choices import DropBelowAlpha, DropBelowSpread, DropZero, Filter, KeepAll
from effreason.records import Verdict
from effreason.training.rollouts import Rollout


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The largest |advantage| of a batch that is left out; below 0 where none is. Made by `thresholds`."""

    alike: float
    """In groups that are all right or all wrong, so that only lengths tell completions apart."""
    mixed: float
    """In groups with right and wrong ones."""


NOTHING = Thresholds(0.0, 0.0)
"""Leaves out what adds nothing to the gradient."""


def thresholds(choice: Filter, advantages: Sequence[float], alpha: float, group_size: int) -> Thresholds:
    """Of a batch of groups of `group_size` with these advantages.

    Relative to alpha, a mixed group's stays below the least advantage that correctness alone can bring: where one of n
    equally long answers is wrong, each right one has 1 / n against the group's mean, and 1 / (n - 1) against the mean
    of the others.
    """
    match choice:
        case KeepAll():
            return Thresholds(-1.0, -1.0)
        case DropZero():
            return NOTHING
        case DropBelowAlpha():
            small = choice.threshold * alpha
            return Thresholds(small, min(small, 1 / (group_size + 1)))
        case DropBelowSpread():
            small = choice.threshold * pstdev(advantages)
            return Thresholds(small, small)


def above(rollouts: Sequence[Rollout], limits: Thresholds) -> list[Rollout]:
    """The completions to learn from, in order; `rollouts` are whole groups.

    Where there are none, one stays with an advantage of 0: the optimiser then moves as it would have, had all of them
    passed through with an advantage of 0.
    """
    right = {rollout.group for rollout in rollouts if rollout.judgement.verdict is Verdict.RIGHT}
    wrong = {rollout.group for rollout in rollouts if rollout.judgement.verdict is Verdict.WRONG}
    mixed = right & wrong
    passed = [one for one in rollouts if abs(one.advantage) > (limits.mixed if one.group in mixed else limits.alike)]
    return passed or [replace(rollouts[0], advantage=0.0)]
