"""Credit: how much better a completion did than the others of its group.

Dividing by the group's standard deviation makes the advantages of every alpha nearly the same in an all-correct group,
and a sweep over alpha would sweep over nothing: so leave-one-out is the default, and the divisor of the whole batch is
there for those who want one.
"""

from collections.abc import Sequence
from itertools import chain
from statistics import fmean, pstdev

from effreason.choices import Advantage, BatchNormalised, GroupNormalised, LeaveOneOut, MeanCentred

Rewards = Sequence[float | None]
"""The rewards of one group; None where a completion could not be judged."""


def advantages(choice: Advantage, batch: Sequence[Rewards]) -> list[list[float]]:
    """Return the advantages of every group of a batch. A completion that was not judged gets 0, and so does every
    completion of a group with fewer than two judged ones: it teaches nothing."""
    match choice:
        case LeaveOneOut():
            return [leave_one_out(rewards) for rewards in batch]
        case MeanCentred():
            return [mean_centred(rewards) for rewards in batch]
        case GroupNormalised():
            return [group_normalised(rewards, choice.floor) for rewards in batch]
        case BatchNormalised():
            return batch_normalised(batch, choice.floor)


def leave_one_out(rewards: Rewards) -> list[float]:
    """Return each reward less the mean of the others (RLOO; Kool et al. 2019, Ahmadian et al. 2024).

    That is the mean-centred reward times m / (m - 1), m the completions that were judged.
    """
    judged = sum(reward is not None for reward in rewards)
    return [advantage * judged / max(1, judged - 1) for advantage in mean_centred(rewards)]


def mean_centred(rewards: Rewards) -> list[float]:
    """Return each reward less the mean of its group (Dr. GRPO; Liu et al. 2025)."""
    judged = [reward for reward in rewards if reward is not None]
    if len(judged) < 2:
        return [0.0] * len(rewards)
    mean = fmean(judged)
    return [0.0 if reward is None else reward - mean for reward in rewards]


def group_normalised(rewards: Rewards, floor: float) -> list[float]:
    """Return (reward - mean) / (population standard deviation + floor) of the group (GRPO; Shao et al. 2024)."""
    judged = [reward for reward in rewards if reward is not None]
    spread = pstdev(judged) if judged else 0.0
    return [advantage / (spread + floor) for advantage in mean_centred(rewards)]


def batch_normalised(batch: Sequence[Rewards], floor: float) -> list[list[float]]:
    """Return the rewards centred by group and divided by the standard deviation over the judged completions of the
    batch (REINFORCE++-baseline; Hu 2025)."""
    centred = [mean_centred(rewards) for rewards in batch]
    pairs = chain.from_iterable(zip(*group, strict=True) for group in zip(centred, batch, strict=True))
    judged = [advantage for advantage, reward in pairs if reward is not None]
    spread = pstdev(judged) if judged else 0.0
    return [[advantage / (spread + floor) for advantage in group] for group in centred]
