"""Which completions of a batch pass through the update: the gradient filtering of DASH, "Effective RL for Reasoning in
Language Models" (arXiv 2505.17218), with these departures:

1. the filter works before the forward pass, so that what is left out costs nothing (theirs saves the backward only);
2. its threshold is relative to alpha or to the spread of the batch's advantages: their fixed 0.1 would drop every
   completion of an all-correct group at alpha <= 0.1, and with them all pressure on length. An alpha that is a price
   and no share of the reward may be any number, so the threshold has a limit: see `_correctness`;
3. what the loss is divided by counts the completions that are left out, so that the size of a step stays.
"""

from collections.abc import Sequence
from dataclasses import replace
from statistics import pstdev

from effreason.choices import DropBelowAlpha, DropBelowSpread, DropZero, Filter, KeepAll
from effreason.training.rollouts import Rollout


def threshold(choice: Filter, advantages: Sequence[float], alpha: float, group_size: int) -> float:
    """The largest |advantage| of a batch of groups of `group_size` that is left out; below 0 where none is."""
    match choice:
        case KeepAll():
            return -1.0
        case DropZero():
            return 0.0
        case DropBelowAlpha():
            return min(choice.threshold * alpha, _correctness(group_size))
        case DropBelowSpread():
            return choice.threshold * pstdev(advantages)


def _correctness(group_size: int) -> float:
    """Less than the least advantage that correctness alone can bring: where one of n equally long answers is wrong,
    each right one has 1 / n against the group's mean, and 1 / (n - 1) against the mean of the others."""
    return 1 / (group_size + 1)


def above(rollouts: Sequence[Rollout], limit: float) -> list[Rollout]:
    """The completions to learn from, in order.

    Where there are none, one stays with an advantage of 0: the optimiser then moves as it would have, had all of them
    passed through with an advantage of 0.
    """
    return [rollout for rollout in rollouts if abs(rollout.advantage) > limit] or [replace(rollouts[0], advantage=0.0)]
