"""Is tonight as the nights before were?

From the candidates of the last nights and from the base model on their problems: the base model never changes, so where
it drifts too, the problems or the machine have changed and not the training.

A figure is unusual where it lies outside of a prediction interval from n earlier nights (Hahn & Meeker 1991),

    mean ± t(n - 1) · s · √(1 + 1/n)

with s the spread between nights, but at least the error of tonight's own figure: a few nights that happen to agree
are no reason for alarm. The intervals hold for all figures of a night at once (Bonferroni), so that one quiet night in
twenty alarms for nothing.
"""

from collections.abc import Iterator, Sequence
from math import sqrt
from typing import Literal

import numpy as np

from effreason.artifacts import Decision, Interval, Measured
from effreason.choices import Name
from effreason.evaluation.intervals import CONFIDENCE, t_quantile
from effreason.frozen import Frozen

FEWEST_NIGHTS = 5
"""Before the spread between nights can be told."""

Quantity = Literal["accuracy", "tokens"]


class Figure(Frozen):
    """One figure of tonight beside what the nights before lead to expect. Read by `page`, and by people as JSON."""

    who: Literal["candidate", "base"]
    suite: Name
    quantity: Quantity
    tonight: Interval | None
    """At 95%."""
    nights: int
    """Earlier ones with this figure."""
    expected: Interval | None
    """None with fewer than five nights, or without a figure tonight."""
    unusual: bool | None
    """None where nothing was to be expected."""


def drift(measured: Sequence[Measured], past: Sequence[Decision]) -> list[Figure]:
    """Every figure of tonight's candidate and of the base model; `past` in any order."""
    tonight = [each for each in measured if each.who != "champion"]
    confidence = 1 - (1 - CONFIDENCE) / max(1, 2 * len(tonight))
    return [figure for each in tonight for figure in _figures(each, past, confidence)]


def expected(earlier: Sequence[float], error: float, confidence: float) -> Interval | None:
    """Where the next figure lies with this confidence if it is as the `earlier` ones; `error` is its standard error."""
    if len(earlier) < FEWEST_NIGHTS:
        return None
    values = np.asarray(earlier, dtype=np.float64)
    spread = max(float(values.std(ddof=1)), error)
    centre = float(values.mean())
    half = t_quantile(len(values) - 1, confidence) * spread * sqrt(1 + 1 / len(values))
    return Interval(centre - half, centre, centre + half)


def _figures(tonight: Measured, past: Sequence[Decision], confidence: float) -> Iterator[Figure]:
    same = [
        each
        for decision in past
        for each in decision.measured
        if (each.who, each.suite) == (tonight.who, tonight.suite)
    ]
    for quantity, now, then in (
        ("accuracy", tonight.accuracy, [each.accuracy for each in same]),
        ("tokens", tonight.tokens, [each.tokens for each in same]),
    ):
        earlier = [interval.centre for interval in then if interval]
        usual = expected(earlier, _error(now), confidence) if now else None
        yield Figure.model_validate(
            {
                "who": tonight.who,
                "suite": tonight.suite,
                "quantity": quantity,
                "tonight": now,
                "nights": len(earlier),
                "expected": usual,
                "unusual": not usual.low <= now.centre <= usual.high if usual and now else None,
            }
        )


def _error(interval: Interval) -> float:
    return (interval.high - interval.low) / 2 / t_quantile(10_000, CONFIDENCE)
