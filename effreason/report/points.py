"""The points of the plot of tokens against accuracy, before they are laid out."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from effreason.artifacts import Interval, Measures
from effreason.figures import count, percent, points
from effreason.report.published import Published
from effreason.report.sweep import Beside, Row, before_of


class Point(NamedTuple):
    """One model in one state, with both intervals known."""

    series: int
    """The model's number in the sweep: its colour and marker."""
    label: str
    tokens: Interval
    accuracy: Interval
    kind: str
    """`baseline`, `trained`, `beside` (another way to save tokens) or `published`."""
    recommended: bool
    details: tuple[str, ...]
    """Lines for whoever asks."""

    @property
    def rank(self) -> int:
        """The lower, the sooner it gets a label."""
        return 0 if self.kind == "baseline" or self.recommended else 1 if self.kind == "trained" else 2


def points_of(
    rows: Sequence[Row], besides: Sequence[Beside], models: Sequence[str], recommended: Mapping[str, float | None]
) -> list[Point]:
    """The measured points of one part, each model's baseline first; those without intervals are left out."""
    seeds = len({row.cell.seed for row in rows})
    found: list[Point | None] = []
    for series, model in enumerate(models):
        ours = [row for row in rows if row.cell.model == model]
        found += [_baseline(series, row) for row in ours[:1]]
        found += [_beside(series, each) for each in besides if each.model == model]
        found += [_trained(series, row, recommended[model], seeds) for row in ours]
    return [point for point in found if point is not None]


def published_points(published: Iterable[Published], series: int) -> list[Point]:
    """Points without intervals."""
    return [
        Point(
            series, each.label, Interval(each.tokens, each.tokens, each.tokens),
            Interval(each.accuracy, each.accuracy, each.accuracy), "published", False, each.details,
        )
        for each in published
    ]  # fmt: skip


def _baseline(series: int, row: Row) -> Point | None:
    label = before_of(row.cell)
    return _point(series, label, row.baseline, "baseline", f"{row.cell.model}, {label}", ())


def _beside(series: int, beside: Beside) -> Point | None:
    notes = _changes(beside.change.accuracy, beside.change.token_reduction)
    return _point(series, beside.label, beside.measures, "beside", f"{beside.model}, {beside.label}", notes)


def _trained(series: int, row: Row, recommended: float | None, seeds: int) -> Point | None:
    cell = row.cell
    seed = f" s{cell.seed}" if seeds > 1 else ""
    label = cell.names[1] if cell.names else f"α {cell.alpha:g}{seed}"
    title = f"{cell.model}, {label}" if cell.names else f"{cell.model}, alpha {cell.alpha:g}, seed {cell.seed}"
    notes = _changes(row.change.accuracy, row.change.token_reduction)
    if cell.alpha == recommended:
        notes = (*notes, "Recommended on the validation part")
    point = _point(series, label, row.after, "trained", title, notes)
    return point and point._replace(recommended=cell.alpha == recommended)


def _changes(accuracy: Interval | None, reduction: Interval | None) -> tuple[str, ...]:
    return (f"Accuracy change: {points(accuracy)} points", f"Token reduction: {percent(reduction)}")


def _point(
    series: int, label: str, measures: Measures, kind: str, title: str, notes: Sequence[str]
) -> Point | None:  # fmt: skip
    if measures.accuracy is None or measures.tokens is None:
        return None
    figures = (f"Accuracy: {percent(measures.accuracy)}", f"Tokens: {count(measures.tokens)}")
    return Point(series, label, measures.tokens, measures.accuracy, kind, False, (title, *figures, *notes))
