"""How a training went, step by step, from its metrics.jsonl."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import ceil
from pathlib import Path
from statistics import fmean

from effreason.errors import StepFailure

MOST_POINTS = 300
"""More cannot be told apart at the width of a page."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Batch means by step, as columns of equal length. Made by `read_curve`; drawn on the page."""

    step: Sequence[float]
    reward: Sequence[float]
    accuracy: Sequence[float]
    tokens: Sequence[float]


def read_curve(path: Path) -> Curve:
    """Raises `StepFailure` when the file is missing or has other lines than the trainer writes."""
    try:
        first, *others = path.read_text().splitlines()
        lines = [json.loads(line) for line in (first, *others)]
        return Curve(**{field.name: [float(line[field.name]) for line in lines] for field in fields(Curve)})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StepFailure(f"{path.name} holds no training metrics ({error!r}).", "Train the cell again.") from error


def thinned(curve: Curve, most: int = MOST_POINTS) -> Curve:
    """At most `most` points, each the mean of as many steps as the others, but for the last."""
    width = ceil(len(curve.step) / most) or 1
    return Curve(**{field.name: _means(getattr(curve, field.name), width) for field in fields(Curve)})


def smoothed(values: Sequence[float]) -> list[float]:
    """The running mean over a tenth of all points, centred; at the ends, over as many of them as there are."""
    reach = len(values) // 20
    return [fmean(values[max(0, place - reach) : place + reach + 1]) for place in range(len(values))]


def _means(values: Sequence[float], width: int) -> list[float]:
    return [fmean(values[start : start + width]) for start in range(0, len(values), width)]
