"""How a training run went, step by step, from its metrics.jsonl."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from statistics import fmean

from effreason.alarm import Alarm, alarm
from effreason.errors import StepFailure

MOST_POINTS = 150
"""More cannot be told apart at the width of a panel."""
ALWAYS = ("step", "reward", "accuracy", "tokens")

Column = Sequence[float | None]
"""One figure a step; None where a step has none."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Batch means by step, as columns of equal length. Made by `read_curve`; drawn on the page."""

    step: Sequence[float]
    reward: Sequence[float]
    accuracy: Sequence[float]
    tokens: Sequence[float]
    others: Mapping[str, Column] = field(default_factory=dict)
    """Whatever else the trainer wrote, by its name there."""
    alarm: Alarm | None = None

    def column(self, name: str) -> Column:
        """By the trainer's name; empty where this training run has no such figure."""
        found = self.others.get(name, ()) if name not in ALWAYS else getattr(self, name)
        return found if any(value is not None for value in found) else ()


def read_curve(path: Path) -> Curve:
    """Raises `StepFailure` when the file is missing or has other lines than the trainer writes."""
    try:
        first, *others = path.read_text().splitlines()
        lines = [json.loads(line) for line in (first, *others)]
        always = {name: [float(line[name]) for line in lines] for name in ALWAYS}
        names = dict.fromkeys(name for line in lines for name in line if name not in ALWAYS)
        rest = {name: [_number(line.get(name)) for line in lines] for name in names}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise StepFailure(f"{path.name} holds no training metrics ({error!r}).", "Train the cell again.") from error
    return Curve(**always, others=rest, alarm=alarm(lines) if "alpha" in rest else None)


def thinned(curve: Curve, most: int = MOST_POINTS) -> Curve:
    """At most `most` points, each the mean of as many steps as the others, but for the last."""
    width = ceil(len(curve.step) / most) or 1
    return Curve(
        **{name: _means(getattr(curve, name), width) for name in ALWAYS},
        others={name: _known_means(values, width) for name, values in curve.others.items()},
        alarm=curve.alarm,
    )


def smoothed(values: Sequence[float]) -> list[float]:
    """The running mean over a tenth of all points, centred; at the ends, over as many of them as there are."""
    reach = len(values) // 20
    return [fmean(values[max(0, place - reach) : place + reach + 1]) for place in range(len(values))]


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None


def _means(values: Sequence[float], width: int) -> list[float]:
    return [fmean(values[start : start + width]) for start in range(0, len(values), width)]


def _known_means(values: Column, width: int) -> list[float | None]:
    parts = [
        [value for value in values[start : start + width] if value is not None]
        for start in range(0, len(values), width)
    ]
    return [fmean(part) if part else None for part in parts]
