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
    """The largest |advantage| that is dropped from a batch; below 0 where nothing is. Made by `thresholds`."""

    alike: float
    """The threshold in groups that are all correct or all wrong, where only lengths tell completions apart."""
    mixed: float
    """The threshold in groups with correct and wrong completions."""


NOTHING = Thresholds(0.0, 0.0)
"""Thresholds that drop only what adds nothing to the gradient."""


def thresholds(choice: Filter, advantages: Sequence[float], alpha: float, group_size: int) -> Thresholds:
    """Return the filter's thresholds for one batch, whose groups have `group_size` completions.

    Relative to alpha, the threshold of a mixed group stays below the least advantage that correctness alone can bring:
    where one of n equally long answers is wrong, each correct one has 1 / n against the group's mean, and 1 / (n - 1)
    against the mean of the others.
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
    """Return the completions to learn from, in order; `rollouts` are whole groups.

    If none is left, one is kept with an advantage of 0: the optimiser then moves as it would have, had all of them
    passed through with an advantage of 0.
    """
    right = {rollout.group for rollout in rollouts if rollout.judgement.verdict is Verdict.RIGHT}
    wrong = {rollout.group for rollout in rollouts if rollout.judgement.verdict is Verdict.WRONG}
    mixed = right & wrong
    passed = [one for one in rollouts if abs(one.advantage) > (limits.mixed if one.group in mixed else limits.alike)]
    return passed or [replace(rollouts[0], advantage=0.0)]
