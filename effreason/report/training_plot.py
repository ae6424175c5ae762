"""The plots of a training run by its steps: for each model, one panel a figure and one line a cell."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from effreason.report.axes import colour, fitted
from effreason.report.curves import ALWAYS, Curve, smoothed, thinned
from effreason.report.lines import BOTTOM, LEFT, PANEL, RIGHT, TOP, Key, Panel, Trace, dash, path
from effreason.report.sheets import Field, Line
from effreason.report.sweep import Run


class Told(NamedTuple):
    """One figure of the trainer as the page tells it."""

    name: str
    """In metrics.jsonl."""
    title: str
    scale: float = 1.0


FIGURES = (
    Told("reward", "Mean reward"),
    Told("accuracy", "Accuracy, %", 100),
    Told("tokens", "Mean tokens"),
    Told("truncated", "Truncated, %", 100),
    Told("entropy", "Entropy, nats per token"),
    Told("kl", "KL to the initial policy, nats per token"),
    Told("alpha", "Alpha"),
    Told("filtered", "Left out of the update, %", 100),
)


@dataclass(frozen=True)
class TrainingPlot:
    """All cells of one model. Made by `training_plot`; drawn by plots.html."""

    model: str
    keys: Sequence[Key]
    panels: Sequence[Panel]
    missing: Sequence[str]
    """Titles of the figures that no cell has."""
    steps_a_point: int
    """Steps that are averaged into one point, so that long training runs stay readable."""


def training_plot(model: str, runs: Sequence[Run]) -> TrainingPlot:
    """`runs` are those of `model` that were trained, each with its curve."""
    known = [(run, run.curve) for run in runs if run.curve is not None]
    curves = [thinned(curve) for _, curve in known]
    alphas = sorted({run.cell.alpha for run, _ in known})
    looks = [alphas.index(run.cell.alpha) for run, _ in known]
    panels = {told.title: _panel(told, curves, looks) for told in FIGURES}
    return TrainingPlot(
        model=model,
        keys=[
            Key(number, run.label, colour(look), dash(look))
            for number, ((run, _), look) in enumerate(zip(known, looks, strict=True))
        ],
        panels=[panel for panel in panels.values() if panel is not None],
        missing=[title for title, panel in panels.items() if panel is None],
        steps_a_point=max(-(-len(full.step) // len(few.step)) for (_, full), few in zip(known, curves, strict=True)),
    )


def lines(runs: Sequence[Run], shorten: bool) -> list[Line]:
    """One a step of every cell, with all that the trainer wrote; if shortened, one a point of the plots."""
    return [line for run in runs if run.curve for line in _lines(run, thinned(run.curve) if shorten else run.curve)]


def _lines(run: Run, curve: Curve) -> list[Line]:
    cell: dict[str, Field] = {"model": run.cell.model, "cell_alpha": run.cell.alpha, "seed": run.cell.seed}
    figures = {**{name: curve.column(name) for name in ALWAYS}, **curve.others}
    return [
        {**cell, **{name: values[at] for name, values in figures.items() if values}} for at in range(len(curve.step))
    ]


def _panel(told: Told, curves: Sequence[Curve], looks: Sequence[int]) -> Panel | None:
    """None where no curve has the figure."""
    columns = [[value and told.scale * value for value in curve.column(told.name)] for curve in curves]
    values = [value for column in columns for value in column if value is not None]
    if not values:
        return None
    x = fitted([0, *(step for curve in curves for step in curve.step)], LEFT, PANEL.width - RIGHT, 4)
    y = fitted(values, PANEL.height - BOTTOM, TOP, 4)
    traces = []
    for number, (curve, column, look) in enumerate(zip(curves, columns, looks, strict=True)):
        known = [(step, value) for step, value in zip(curve.step, column, strict=False) if value is not None]
        steps, shown = [step for step, _ in known], [value for _, value in known]
        pale, line = path(steps, shown, x, y), path(steps, smoothed(shown), x, y)
        traces.append(Trace(number, colour(look), dash(look), line, pale if pale != line else ""))
    return Panel(told.title, "Step", PANEL, x, y, traces)
