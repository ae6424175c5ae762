"""How the rewards of a batch become the advantages of its completions, by the algorithm of the training."""

from collections.abc import Sequence
from itertools import chain
from statistics import fmean, pstdev

from effreason.advantages import Rewards, advantages
from effreason.choices import Algorithm, PolicyGradient, Ppo, SftShortest
from effreason.records import Group

EPSILON = 1e-8
"""A guard against division by zero in a batch without any spread."""


def credit(algorithm: Algorithm, rewards: Sequence[Rewards], groups: Sequence[Group]) -> list[list[float]]:
    """Return one advantage per completion of each group; 0 for those that were not judged.

    With a value model the advantage of a token is the model's matter; here it is the unchanged reward.
    """
    match algorithm:
        case PolicyGradient(advantage=choice, whiten=whiten):
            credited = advantages(choice, rewards)
            return whitened(credited, rewards) if whiten else credited
        case Ppo():
            return [[reward or 0.0 for reward in group] for group in rewards]
        case SftShortest():
            return [shortest(group) for group in groups]


def whitened(credited: Sequence[Sequence[float]], rewards: Sequence[Rewards]) -> list[list[float]]:
    """Return the advantages of a batch's judged completions, shifted and scaled to mean 0 and standard deviation 1."""
    pairs = chain.from_iterable(zip(*group, strict=True) for group in zip(credited, rewards, strict=True))
    judged = [advantage for advantage, reward in pairs if reward is not None]
    mean, spread = (fmean(judged), pstdev(judged) + EPSILON) if judged else (0.0, 1.0)
    return [
        [0.0 if reward is None else (advantage - mean) / spread for advantage, reward in zip(*group, strict=True)]
        for group in zip(credited, rewards, strict=True)
    ]


def shortest(group: Group) -> list[float]:
    """Return 1 for the first of the shortest correct completions, 0 for the others."""
    lengths = [outcome.tokens for outcome in group if outcome.correct]
    best = next(
        (place for place, outcome in enumerate(group) if outcome.correct and outcome.tokens == min(lengths)), None
    )
    return [float(place == best) for place in range(len(group))]
