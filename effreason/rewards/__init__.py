"""Rewards that prefer short correct completions: one small file for each penalty, one group at a time."""

from effreason.choices import Penalty, SigmoidPenalty
from effreason.records import Group
from effreason.rewards.sigmoid import sigmoid_rewards


def shape(penalty: Penalty, group: Group, alpha: float) -> list[float | None]:
    """The rewards of all completions of one prompt, in order; None for those that could not be judged."""
    match penalty:
        case SigmoidPenalty():
            return sigmoid_rewards(group, alpha)
