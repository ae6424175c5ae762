"""The plot of tokens against accuracy: what each alpha saves, what it costs, and which rows no other row beats."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from effreason.artifacts import Interval, Measures
from effreason.report.axes import Axis, colour, fitted, marker, reach
from effreason.report.figures import count, percent, points
from effreason.report.sweep import Row
from effreason.report.table import BASELINE


class Size(NamedTuple):
    """Of the paper, in user units; text is 13 units high."""

    width: int
    height: int


WIDE = Size(720, 440)
NARROW = Size(360, 400)
"""For the width of a phone."""
LEFT, RIGHT, TOP, BOTTOM = 52, 20, 16, 50
"""Margins for the axes."""
LETTER = 6.8
"""Mean width of a character."""
CROWDED = 0.25
"""Share of a label that others may cover before it is left out."""


class Point(NamedTuple):
    """One model before or after one training, with both intervals known."""

    series: int
    """The model's number in the sweep: its colour and marker."""
    label: str
    tokens: Interval
    accuracy: Interval
    baseline: bool
    recommended: bool
    details: tuple[str, ...]
    """Lines for whoever asks."""


class Mark(NamedTuple):
    """A point on the paper."""

    point: Point
    x: float
    y: float
    left: float
    right: float
    top: float
    bottom: float
    colour: str
    marker: str
    label: str = ""
    """Empty where there is no room for it."""
    label_x: float = 0
    label_y: float = 0
    anchor: str = "start"


class Line(NamedTuple):
    """The frontier of one model, as an SVG path."""

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


class Box(NamedTuple):
    """A rectangle of the paper that a label covers."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def area(self) -> float:
        return (self.right - self.left) * (self.bottom - self.top)

    def overlap(self, other: "Box") -> float:
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(width, 0) * max(height, 0)


def points_of(
    rows: Sequence[Row], models: Sequence[str], recommended: Mapping[str, float | None], seeds: int
) -> list[Point]:
    """The rows of one part, each model's baseline first; those without intervals are left out."""
    found = []
    for series, model in enumerate(models):
        ours = [row for row in rows if row.cell.model == model]
        found += [_baseline(series, ours[0]), *(_trained(series, row, recommended[model], seeds) for row in ours)]
    return [point for point in found if point is not None]


def frontier(points: Sequence[Point], size: Size) -> Frontier | None:
    """Lay `points` out on paper of `size`; None where there is nothing to draw."""
    if not points:
        return None
    x = fitted([0, *reach([point.tokens for point in points])], LEFT, size.width - RIGHT, 4 if size is NARROW else 7)
    y = fitted([100 * limit for limit in reach([point.accuracy for point in points])], size.height - BOTTOM, TOP)
    marks = _labelled([_placed(point, x, y) for point in points], size)
    lines = [_line(series, marks, x) for series in dict.fromkeys(point.series for point in points)]
    return Frontier(size, x, y, marks, lines)


def unbeaten(points: Sequence[Point]) -> list[Point]:
    """Those to which no other is at once as accurate and as short and in one of the two better; fewest tokens first."""
    best: list[Point] = []
    for point in sorted(points, key=lambda each: (each.tokens.centre, -each.accuracy.centre)):
        if not best or point.accuracy.centre > best[-1].accuracy.centre:
            best.append(point)
    return best


def _baseline(series: int, row: Row) -> Point | None:
    return _point(series, BASELINE, row.baseline, f"{row.cell.model}, {BASELINE}", ())


def _trained(series: int, row: Row, recommended: float | None, seeds: int) -> Point | None:
    cell = row.cell
    label = f"α {cell.alpha:g}" + (f" s{cell.seed}" if seeds > 1 else "")
    notes = [
        f"Accuracy change: {points(row.change.accuracy)} points",
        f"Token reduction: {percent(row.change.token_reduction)}",
    ]
    if cell.alpha == recommended:
        notes.append("Recommended on the validation part")
    point = _point(series, label, row.after, f"{cell.model}, alpha {cell.alpha:g}, seed {cell.seed}", notes)
    return point and point._replace(recommended=cell.alpha == recommended)


def _point(series: int, label: str, measures: Measures, title: str, notes: Sequence[str]) -> Point | None:
    if measures.accuracy is None or measures.tokens is None:
        return None
    figures = (f"Accuracy: {percent(measures.accuracy)}", f"Tokens: {count(measures.tokens)}")
    return Point(
        series=series,
        label=label,
        tokens=measures.tokens,
        accuracy=measures.accuracy,
        baseline=label == BASELINE,
        recommended=False,
        details=(title, *figures, *notes),
    )


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


def _labelled(marks: Sequence[Mark], size: Size) -> list[Mark]:
    """Each label beside its mark where there is room for it, the ones that matter most first; the rest go without."""
    taken = [box for mark in marks for box in _covered(mark)]
    best = set(unbeaten([mark.point for mark in marks]))
    labelled = {}
    for mark in sorted(marks, key=lambda each: _rank(each.point, best)):
        choices = [_beside(mark, right, above, gap) for gap in (9, 18) for above in (True, False) for right in (1, -1)]
        box, placed = min(choices, key=lambda choice: _cost(choice[0], taken, size))
        if _cost(box, taken, size) < CROWDED * box.area:
            taken.append(box)
            labelled[mark.point] = placed
    return [labelled.get(mark.point, mark) for mark in marks]


def _rank(point: Point, best: set[Point]) -> int:
    if point.baseline or point.recommended:
        return 0
    return 1 if point in best else 2


def _covered(mark: Mark) -> list[Box]:
    return [
        Box(mark.x - 7, mark.y - 7, mark.x + 7, mark.y + 7),
        Box(mark.left, mark.y - 1, mark.right, mark.y + 1),
        Box(mark.x - 1, mark.top, mark.x + 1, mark.bottom),
    ]


def _beside(mark: Mark, right: int, above: bool, gap: int) -> tuple[Box, Mark]:
    width = LETTER * len(mark.point.label)
    x, y = mark.x + right * gap, mark.y - gap + 2 if above else mark.y + gap + 9
    box = Box(min(x, x + right * width), y - 11, max(x, x + right * width), y + 3)
    return box, mark._replace(label=mark.point.label, label_x=x, label_y=y, anchor="start" if right > 0 else "end")


def _cost(box: Box, taken: Sequence[Box], size: Size) -> float:
    outside = max(LEFT - box.left, 0) + max(box.right - size.width, 0) + max(box.bottom - size.height + BOTTOM, 0)
    return sum(box.overlap(other) for other in taken) + 1000 * (outside + max(-box.top, 0))


def _line(series: int, marks: Sequence[Mark], x: Axis) -> Line:
    """A staircase: at as many tokens as the eye goes along, the best accuracy that was measured."""
    ours = {mark.point: mark for mark in marks if mark.point.series == series}
    best = [ours[point] for point in unbeaten(list(ours))]
    steps = "".join(f"H{mark.x}V{mark.y}" for mark in best[1:])
    return Line(series, colour(series), f"M{best[0].x},{best[0].y}{steps}H{x.end}")
