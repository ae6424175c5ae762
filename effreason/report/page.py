"""The page: one file with its style, its script, its plots and its data, that asks nothing of any network.

The template escapes everything that it is given, and a content security policy lets run only the one script whose hash
it names: whatever a model wrote is shown and never obeyed.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from effreason.evaluation.measures import Change
from effreason.report import cells, method
from effreason.report.axes import colour, marker
from effreason.report.figures import percent, points
from effreason.report.frontier import NARROW, WIDE, Frontier, Size, frontier, points_of
from effreason.report.reduction import Reduction, reduction
from effreason.report.results import Table, details, results
from effreason.report.sweep import Finding, Sweep
from effreason.report.training_plot import TrainingPlot, training_plot

PACKAGE = "effreason.report"


class Key(NamedTuple):
    """One model in a legend."""

    series: int
    model: str
    colour: str
    marker: str


class Told(NamedTuple):
    """A finding in words."""

    finding: Finding
    headline: str
    sentences: Sequence[str]


@dataclass(frozen=True)
class Part:
    """Everything that is shown of one test suite, or of the validation part."""

    name: str
    validation: bool
    problems: int
    samples: int
    results: Table
    details: Table
    wide: Frontier | None
    narrow: Frontier | None
    reduction: Reduction | None


def page(sweep: Sweep) -> str:
    """report.html."""
    style, script = Markup(_file("plot.css") + _file("page.css")), Markup(_file("page.js"))  # noqa: S704  our own files
    return _rendered(
        "page.html",
        experiment=sweep.spec.experiment,
        style=style,
        style_hash=_hash(style),
        script=script,
        script_hash=_hash(script),
        findings=[_told(finding) for finding in sweep.findings],
        several_seeds=len(sweep.seeds) > 1,
        keys=_keys(sweep),
        parts=[_part(sweep, part) for part in sweep.parts],
        trainings=[_training(sweep, model) for model in sweep.models],
        facts=method.facts(sweep),
        steps=method.steps(sweep),
        environments=method.environments(sweep),
        cost=method.cost(sweep),
        csv=base64.b64encode(cells.table(sweep.rows).encode()).decode(),
    )


def picture(sweep: Sweep) -> str:
    """frontier.svg: the plot of the first test suite, by itself."""
    return _rendered(
        "frontier.html",
        style=Markup(_file("plot.css")),  # noqa: S704  our own file
        plot=_frontier(sweep, sweep.parts[0], WIDE),
        part=sweep.parts[0],
        keys=_keys(sweep),
    )


def _rendered(template: str, **values: object) -> str:
    environment = Environment(
        loader=PackageLoader(PACKAGE, ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(values)


def _file(name: str) -> str:
    return files(PACKAGE).joinpath(name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    """As a content security policy names an inline style or script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def _keys(sweep: Sweep) -> list[Key]:
    return [Key(number, model, colour(number), marker(number)) for number, model in enumerate(sweep.models)]


def _told(finding: Finding) -> Told:
    alpha = finding.recommendation.alpha
    headline = "No recommendation" if alpha is None else f"Train with alpha {alpha:g}"
    tested = "; ".join(f"on the test suite {suite} {_effect(change)}" for suite, change in finding.on_suites.items())
    return Told(finding, headline, [finding.recommendation.reason, f"With alpha {finding.alpha:g}, {tested}."])


def _effect(change: Change) -> str:
    if change.accuracy is None or change.token_reduction is None:
        return "there is too little data for an interval"
    return (
        f"the model saves {percent(change.token_reduction)} of its tokens "
        f"and its accuracy changes by {points(change.accuracy)} points"
    )


def _part(sweep: Sweep, name: str) -> Part:
    rows = [row for row in sweep.rows if row.part == name]
    return Part(
        name=name,
        validation=rows[0].validation,
        problems=rows[0].baseline.problems,
        samples=rows[0].baseline.samples,
        results=results(rows, sweep.recommended),
        details=details(rows, sweep.recommended),
        wide=_frontier(sweep, name, WIDE),
        narrow=_frontier(sweep, name, NARROW),
        reduction=reduction(rows, sweep.models, sweep.seeds),
    )


def _frontier(sweep: Sweep, part: str, size: Size) -> Frontier | None:
    rows = [row for row in sweep.rows if row.part == part]
    return frontier(points_of(rows, sweep.models, sweep.recommended, len(sweep.seeds)), size)


def _training(sweep: Sweep, model: str) -> TrainingPlot:
    return training_plot(model, [run for run in sweep.runs if run.cell.model == model])
