"""Credit: how much better a completion did than the others of its group.

Nothing here divides by the group's standard deviation: in an all-correct group that would make the advantages of
every alpha nearly the same, and a sweep over alpha would sweep over nothing.
"""

from collections.abc import Sequence

from effreason.choices import Advantage, LeaveOneOut

Rewards = Sequence[float | None]
"""Of one group; None where a completion could not be judged."""


def advantages(choice: Advantage, batch: Sequence[Rewards]) -> list[list[float]]:
    """The advantages of every group of a batch."""
    match choice:
        case LeaveOneOut():
            return [leave_one_out(rewards) for rewards in batch]


def leave_one_out(rewards: Rewards) -> list[float]:
    """Each reward less the mean of the others (RLOO; Kool et al. 2019, Ahmadian et al. 2024).

    That is the mean-centred reward times m / (m - 1), m the completions that were judged. Those that were not have
    an advantage of 0, and so has everyone in a group with fewer than two judged.
    """
    judged = [reward for reward in rewards if reward is not None]
    if len(judged) < 2:
        return [0.0] * len(rewards)
    mean = sum(judged) / len(judged)
    scale = len(judged) / (len(judged) - 1)
    return [0.0 if reward is None else (reward - mean) * scale for reward in rewards]
