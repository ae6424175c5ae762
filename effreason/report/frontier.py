"""The plot of tokens against accuracy: what each alpha saves, what it costs, and what a training run has to beat.

Beside the measured models stand the base model truncated at one limit after the other, and published points. They are
drawn where they leave the measured ones room to be told apart, and told under the plot where they would not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from effreason.report.axes import Axis, Size, colour, fitted, marker, reach
from effreason.report.budgets import Spending
from effreason.report.labels import Mark, labelled
from effreason.report.lines import path
from effreason.report.points import Point

WIDE = Size(720, 440)
NARROW = Size(360, 400)
"""For the width of a phone."""
LEFT, RIGHT, TOP, BOTTOM = 52, 20, 16, 50
"""Margins for the axes."""
STRETCH = 3.0
"""How much further than the trained models an axis goes for the sake of others."""
LEAST_HEIGHT = 12.0
"""Points of accuracy that the axis may always span."""


class Line(NamedTuple):
    """The frontier of one model, as an SVG path, or its accuracy when cut short, as points."""

    series: int
    colour: str
    path: str


@dataclass(frozen=True)
class Frontier:
    """Made by `frontier`; drawn by plots.html."""

    size: Size
    x: Axis
    y: Axis
    marks: Sequence[Mark]
    lines: Sequence[Line]
    cuts: Sequence[Line]
    outside: Sequence[Point]
    """Those that are not drawn, for they lie too far off."""


def frontier(
    points: Sequence[Point], size: Size, cuts: Mapping[int, Sequence[Spending]] | None = None
) -> Frontier | None:
    """Lay `points` out on paper of `size`; None where there is nothing to draw. `cuts` are by series."""
    measured = [point for point in points if point.kind in ("baseline", "trained")]
    if not measured:
        return None
    near = [point for point in points if point in measured or _near(point, measured)]
    x = fitted([0, *reach([point.tokens for point in near])], LEFT, size.width - RIGHT, 4 if size is NARROW else 7)
    y = fitted([100 * limit for limit in reach([point.accuracy for point in near])], size.height - BOTTOM, TOP)
    marks = labelled([_placed(point, x, y) for point in near], size, LEFT, BOTTOM)
    return Frontier(
        size=size,
        x=x,
        y=y,
        marks=marks,
        lines=[_line(series, marks, x) for series in dict.fromkeys(point.series for point in measured)],
        cuts=[Line(series, colour(series), _cut(spent, x, y)) for series, spent in (cuts or {}).items()],
        outside=[point for point in points if point not in near],
    )


def unbeaten(points: Sequence[Point]) -> list[Point]:
    """Those to which no other is at once as accurate and as short and in one of the two better; fewest tokens first."""
    best: list[Point] = []
    for point in sorted(points, key=lambda each: (each.tokens.centre, -each.accuracy.centre)):
        if not best or point.accuracy.centre > best[-1].accuracy.centre:
            best.append(point)
    return best


def _near(point: Point, measured: Sequence[Point]) -> bool:
    """An axis that holds it as well would not shrink the measured ones beyond telling."""
    tokens = max(reach([each.tokens for each in measured]))
    accuracy = reach([each.accuracy for each in measured])
    height = max(accuracy) - min(accuracy)
    whole = max(*accuracy, point.accuracy.high) - min(*accuracy, point.accuracy.low)
    return point.tokens.high <= STRETCH * tokens and whole <= max(STRETCH * height, LEAST_HEIGHT / 100)


def _placed(point: Point, x: Axis, y: Axis) -> Mark:
    tokens, accuracy = point.tokens, point.accuracy
    return Mark(
        point=point,
        x=x.at(tokens.centre),
        y=y.at(100 * accuracy.centre),
        left=x.at(max(tokens.low, x.low)),
        right=x.at(tokens.high),
        top=y.at(100 * accuracy.high),
        bottom=y.at(100 * accuracy.low),
        colour=colour(point.series),
        marker=marker(point.series),
    )


def _line(series: int, marks: Sequence[Mark], x: Axis) -> Line:
    """A staircase: at as many tokens as the eye goes along, the best accuracy that was measured."""
    ours = {m.point: m for m in marks if m.point.series == series and m.point.kind in ("baseline", "trained")}
    best = [ours[point] for point in unbeaten(list(ours))]
    steps = "".join(f"H{mark.x}V{mark.y}" for mark in best[1:])
    return Line(series, colour(series), f"M{best[0].x},{best[0].y}{steps}H{x.end}")


def _cut(spent: Sequence[Spending], x: Axis, y: Axis) -> str:
    seen = [each for each in spent if each.tokens <= x.high and y.low <= 100 * each.accuracy <= y.high]
    return path([each.tokens for each in seen], [100 * each.accuracy for each in seen], x, y)
