"""The plot of token reduction by alpha, with intervals."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from effreason.report.axes import Axis, colour, fitted, marker, reach
from effreason.report.figures import percent
from effreason.report.sweep import Row

WIDTH, HEIGHT = 360, 400
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 16, 50


class Whisker(NamedTuple):
    """One cell's reduction on the paper."""

    series: int
    colour: str
    marker: str
    x: float
    y: float
    top: float
    bottom: float
    details: tuple[str, ...]


class Place(NamedTuple):
    """Where an alpha stands on the paper."""

    x: float
    label: str


@dataclass(frozen=True)
class Reduction:
    """Made by `reduction`; drawn by plots.html."""

    width: int
    height: int
    y: Axis
    left: float
    right: float
    places: Sequence[Place]
    whiskers: Sequence[Whisker]


def reduction(rows: Sequence[Row], models: Sequence[str], seeds: Sequence[int]) -> Reduction | None:
    """The rows of one part; None where none has an interval."""
    known = [row for row in rows if row.change.token_reduction is not None]
    if not known:
        return None
    limits = reach([row.change.token_reduction for row in known if row.change.token_reduction is not None])
    y = fitted([0, *(100 * limit for limit in limits)], HEIGHT - BOTTOM, TOP)
    alphas = sorted({row.cell.alpha for row in rows})
    room = (WIDTH - RIGHT - LEFT) / len(alphas)
    places = {alpha: LEFT + (number + 0.5) * room for number, alpha in enumerate(alphas)}
    dodge = min(16.0, 0.8 * room / (len(models) * len(seeds)))
    return Reduction(
        width=WIDTH,
        height=HEIGHT,
        y=y,
        left=LEFT,
        right=WIDTH - RIGHT,
        places=[Place(round(x, 1), f"{alpha:g}") for alpha, x in places.items()],
        whiskers=[_whisker(row, places[row.cell.alpha], dodge, models, seeds, y) for row in known],
    )


def _whisker(row: Row, place: float, dodge: float, models: Sequence[str], seeds: Sequence[int], y: Axis) -> Whisker:
    """Models stand side by side at their alpha, and within a model its seeds."""
    assert row.change.token_reduction is not None  # noqa: S101  the caller has looked
    low, centre, high = (100 * limit for limit in row.change.token_reduction)
    series = models.index(row.cell.model)
    position = series * len(seeds) + seeds.index(row.cell.seed)
    shift = position - (len(models) * len(seeds) - 1) / 2
    return Whisker(
        series=series,
        colour=colour(series),
        marker=marker(series),
        x=round(place + dodge * shift, 1),
        y=y.at(centre),
        top=y.at(high),
        bottom=y.at(low),
        details=(
            f"{row.cell.model}, alpha {row.cell.alpha:g}, seed {row.cell.seed}",
            f"Token reduction: {percent(row.change.token_reduction)}",
        ),
    )
