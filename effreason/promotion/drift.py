"""Drift: whether tonight's figures are like those of earlier nights.

The candidates of the last nights are compared, and the base model on their problems: the base model never changes, so
if it drifts too, the problems or the machine have changed and not the training.

A figure is unusual if it lies outside a prediction interval from n earlier nights (Hahn & Meeker 1991),

    mean ± t(n - 1) · s · √(1 + 1/n)

where s is the standard deviation between nights, but at least the standard error of tonight's figure, so that a few
nights that happen to agree cause no alarm. The intervals hold for all figures of a night jointly (Bonferroni), so one
ordinary night in twenty raises a false alarm.
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
"""Number of nights from which the spread between nights is estimated, at least."""

Quantity = Literal["accuracy", "tokens"]


class Figure(Frozen):
    """One figure of tonight beside the interval expected from earlier nights. Read by `page`, and by people as JSON."""

    who: Literal["candidate", "base"]
    suite: Name
    quantity: Quantity
    tonight: Interval | None
    """The figure with its 95% interval."""
    nights: int
    """Number of earlier nights with this figure."""
    expected: Interval | None
    """The prediction interval; None with fewer than five nights, or without a figure tonight."""
    unusual: bool | None
    """None if there is no prediction interval."""


def drift(measured: Sequence[Measured], past: Sequence[Decision]) -> list[Figure]:
    """Return every figure of tonight's candidate and of the base model; `past` may be in any order."""
    tonight = [each for each in measured if each.who != "champion"]
    confidence = 1 - (1 - CONFIDENCE) / max(1, 2 * len(tonight))
    return [figure for each in tonight for figure in _figures(each, past, confidence)]


def expected(earlier: Sequence[float], error: float, confidence: float) -> Interval | None:
    """Return the prediction interval of the next figure from the `earlier` ones, None if there are too few.

    `error` is the standard error of the next figure.
    """
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
