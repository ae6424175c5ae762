"""Seconds per step, the contestants taking turns, so that what else the machine does falls on all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from effreason.benchmarks.work import Contestant, Order, Stride, Work, strides

STILL = 1e-12
"""A learning rate at which lengths stay as they are, so that every step is the same work."""

Rounds = Sequence[Sequence[Stride]]
"""The timed steps of one contestant, round by round."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """Made by `ratio`; read by the tables."""

    middle: float
    """The median over rounds."""
    low: float
    high: float
    confidence: float | None
    """That the limits hold the median of all such rounds; None where there is one round."""


def take_turns(contestants: Mapping[str, Contestant], work: Work, rounds: int, steps: int) -> dict[str, Rounds]:
    """`steps` timed steps of each contestant in each round; the first step of a round sets up, and is not timed."""
    found: dict[str, list[list[Stride]]] = {name: [] for name in contestants}
    for number in range(rounds):
        for name, contestant in contestants.items():
            found[name].append(strides(contestant, Order(work, steps + 1, STILL, number))[1:])
    return {name: tuple(taken) for name, taken in found.items()}


def seconds_of_rounds(rounds: Rounds) -> list[float]:
    """The median step of each round."""
    return [median(stride.seconds for stride in taken) for taken in rounds]


def ratio(one: Sequence[float], other: Sequence[float]) -> Ratio:
    """How much of the `other`'s time the `one` takes, paired by round.

    The limits are the least and the greatest of n rounds, which hold the median with confidence 1 - 2^(1 - n).
    """
    ratios = [a / b for a, b in zip(one, other, strict=True)]
    confidence = 1 - 2.0 ** (1 - len(ratios)) if len(ratios) > 1 else None
    return Ratio(median(ratios), min(ratios), max(ratios), confidence)


def best(contestants: Mapping[str, Contestant], work: Work, steps: int) -> tuple[str, dict[str, float]]:
    """The contestant with the fastest median step, and the seconds of all."""
    seconds = {name: seconds_of_rounds(taken)[0] for name, taken in take_turns(contestants, work, 1, steps).items()}
    return min(seconds, key=lambda name: seconds[name]), seconds
