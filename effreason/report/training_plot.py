"""The plots of reward, accuracy and tokens by training step: three panels for each model, one line a cell."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from effreason.report.axes import Axis, colour, fitted
from effreason.report.curves import Curve, smoothed, thinned
from effreason.report.sweep import Run

WIDTH, HEIGHT = 340, 250
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 12, 44
DASHES = ("none", "7 3", "2 3", "9 3 2 3", "4 2", "1 2")
"""SVG stroke patterns: the second sign of an alpha beside its colour."""


class Trace(NamedTuple):
    """One cell's line on the paper."""

    series: int
    """The cell's number among those of its model."""
    colour: str
    dash: str
    steps: str
    """Every point, as SVG takes them: `x,y x,y …`."""
    smooth: str
    """Their running mean."""


@dataclass(frozen=True)
class Panel:
    """One figure by step."""

    title: str
    width: int
    height: int
    x: Axis
    y: Axis
    traces: Sequence[Trace]


class Key(NamedTuple):
    """One entry of the legend."""

    series: int
    label: str
    colour: str
    dash: str


@dataclass(frozen=True)
class TrainingPlot:
    """All cells of one model. Made by `training_plot`; drawn by plots.html."""

    model: str
    keys: Sequence[Key]
    panels: Sequence[Panel]
    steps_a_point: int
    """Steps that are averaged into one point, so that long trainings stay readable."""


def training_plot(model: str, runs: Sequence[Run]) -> TrainingPlot:
    """`runs` are those of `model`."""
    curves = [thinned(run.curve) for run in runs]
    alphas = sorted({run.cell.alpha for run in runs})
    looks = [(colour(n), DASHES[n % len(DASHES)]) for n in (alphas.index(run.cell.alpha) for run in runs)]
    seeds = len({run.cell.seed for run in runs})

    def panel(title: str, figure: Callable[[Curve], Sequence[float]]) -> Panel:
        return _panel(title, curves, looks, figure)

    return TrainingPlot(
        model=model,
        keys=[
            Key(number, f"α {run.cell.alpha:g}" + (f" s{run.cell.seed}" if seeds > 1 else ""), *looks[number])
            for number, run in enumerate(runs)
        ],
        panels=[
            panel("Mean reward", lambda curve: curve.reward),
            panel("Accuracy, %", lambda curve: [100 * share for share in curve.accuracy]),
            panel("Mean tokens", lambda curve: curve.tokens),
        ],
        steps_a_point=max(-(-len(run.curve.step) // len(curve.step)) for run, curve in zip(runs, curves, strict=True)),
    )


def _panel(
    title: str,
    curves: Sequence[Curve],
    looks: Sequence[tuple[str, str]],
    figure: Callable[[Curve], Sequence[float]],
) -> Panel:
    x = fitted([0, *(step for curve in curves for step in curve.step)], LEFT, WIDTH - RIGHT, 4)
    y = fitted([value for curve in curves for value in figure(curve)], HEIGHT - BOTTOM, TOP, 4)
    traces = [
        Trace(
            number,
            look,
            dash,
            steps=_points(curve.step, figure(curve), x, y),
            smooth=_points(curve.step, smoothed(figure(curve)), x, y),
        )
        for number, (curve, (look, dash)) in enumerate(zip(curves, looks, strict=True))
    ]
    return Panel(title, WIDTH, HEIGHT, x, y, traces)


def _points(steps: Sequence[float], values: Sequence[float], x: Axis, y: Axis) -> str:
    return " ".join(f"{x.at(step)},{y.at(value)}" for step, value in zip(steps, values, strict=True))
