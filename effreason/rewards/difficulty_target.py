"""The difficulty-aware length reward LASER-D of Liu et al. (2025, arXiv 2505.15612).

    class d = easy, medium, hard: the solve rate of a group is >= 2/3, 1/3 … 2/3, < 1/3
    target  = the smallest T with P_d(tokens <= T) · C_d >= 1,   C = 6, 3, 1
    reward  = 1{correct} · (1 + alpha · 1{tokens <= target})

P_d is over the correct completions of the class: of an easy class, the shortest sixth is within the target; of a
medium one, the shortest third; of a hard one, all.
Departures:
1. targets are taken from the correct completions of the batch itself; the paper takes them every 20 steps from samples
   of 500 problems kept for that, which costs generation and a state that outlives the step;
2. T is one of the lengths that occurred, not a value of a grid;
3. wrong earns 0 and unjudged nothing, as in `length_target`. A class without a correct completion needs no target.
"""

from collections import defaultdict
from collections.abc import Sequence
from enum import IntEnum

from effreason.records import Group
from effreason.rewards.length_target import length_target_rewards


class Difficulty(IntEnum):
    """A class of problems; its value is C_d, the number of correct completions out of 8 that the paper expects."""

    EASY = 6
    MEDIUM = 3
    HARD = 1


def difficulty_target_rewards(groups: Sequence[Group], alpha: float) -> list[list[float | None]]:
    """Return the rewards of a batch, one list per group: 1 + alpha if correct within the target of its class, else
    the plain reward."""
    lengths: dict[Difficulty, list[int]] = defaultdict(list)
    for group in groups:
        lengths[difficulty(group)] += [outcome.tokens for outcome in group if outcome.correct]
    targets = {each: _target(sorted(tokens), each) for each, tokens in lengths.items()}
    return [length_target_rewards(group, alpha, targets[difficulty(group)]) for group in groups]


def difficulty(group: Group) -> Difficulty:
    """Classify a group by the share of its judged completions that are correct; HARD where none was judged."""
    judged, correct = sum(outcome.judged for outcome in group), sum(outcome.correct for outcome in group)
    if judged == 0 or 3 * correct < judged:
        return Difficulty.HARD
    return Difficulty.EASY if 3 * correct >= 2 * judged else Difficulty.MEDIUM


def _target(ascending: list[int], difficulty: Difficulty) -> int:
    """Return the smallest length that covers 1 / C_d of the class's lengths; 0 if there are none."""
    covering = -(-len(ascending) // difficulty)
    return ascending[covering - 1] if ascending else 0
