"""Everything that is shown of one test suite, or of the validation part, in whichever section."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from effreason.evaluation.paired import SignTest
from effreason.figures import UNKNOWN, UNKNOWN_CENTRE, Figure, percent, points
from effreason.report import difficulty, probing, reasoning
from effreason.report.axes import Size
from effreason.report.frontier import NARROW, WIDE, Frontier, frontier
from effreason.report.points import points_of, published_points
from effreason.report.published import published_on
from effreason.report.results import Line, Table, details, plain_table, results
from effreason.report.spending import Budgets, budgets
from effreason.report.studies import GREY, Study
from effreason.report.subjects import Subject
from effreason.report.sweep import CONCISE, Row, Sweep, before_of, spoken
from effreason.report.whiskers import TALL, Bar, Names, WhiskerPlot, whiskers

SIGNS = (
    "Change, points",
    "Token reduction",
    "… by problem",
    "Accuracy better / worse / same",
    "Tokens fewer / more / same",
    "Change, points, with seed variation",
    "Token reduction, with seed variation",
)


@dataclass(frozen=True)
class Part:
    """Made by `part`; read by the templates."""

    name: str
    validation: bool
    far: bool
    """Out of distribution."""
    before: str
    """What the models were before, as it stands in a sentence."""
    problems: int
    samples: int
    results: Table
    missing: Sequence[str]
    """Why a row is not in the table."""
    details: Table
    wide: Frontier | None
    narrow: Frontier | None
    published: bool
    reduction: WhiskerPlot | None
    signs: Mapping[str, Table]
    """By model."""
    difficulty: Mapping[str, Sequence[Study]]
    """By model."""
    behaviour: Mapping[str, Sequence[Study]]
    """By model."""
    faithfulness: Mapping[str, Sequence[Study]]
    """By model."""
    budgets: Sequence[Budgets]
    """One a model."""


def part(sweep: Sweep, name: str) -> Part:
    """`name` is that of a suite or of the validation part."""
    rows = [row for row in sweep.rows if row.part == name]
    besides = [beside for beside in sweep.besides if beside.part == name]
    subjects = {model: found for model in sweep.models if (found := sweep.of(model, name))}
    first = rows[0]
    return Part(
        name=name,
        validation=first.validation,
        far=name in sweep.spec.out_of_distribution,
        before=spoken(before_of(first.cell)),
        problems=first.baseline.problems,
        samples=first.baseline.samples,
        results=results(rows, besides, sweep.recommended),
        missing=_missing(sweep),
        details=details(rows, besides, sweep.recommended),
        wide=frontier_of(sweep, name, WIDE),
        narrow=frontier_of(sweep, name, NARROW),
        published=bool(published_on(name)),
        reduction=_reduction(rows, sweep),
        signs={model: _signs(found) for model, found in subjects.items()},
        difficulty={model: difficulty.studies(found) for model, found in subjects.items()},
        behaviour={model: reasoning.studies(found) for model, found in subjects.items()},
        faithfulness={model: probing.studies(sweep.probed_of(model, name)) for model in subjects},
        budgets=[budgets(found, sweep.recommended[model]) for model, found in subjects.items()],
    )


def _missing(sweep: Sweep) -> list[str]:
    return [f"{each.model} was not {CONCISE}. {each.reason}" for each, _ in sweep.references if each.reason]


def frontier_of(sweep: Sweep, name: str, size: Size) -> Frontier | None:
    """The plot of tokens against accuracy on one part."""
    rows = [row for row in sweep.rows if row.part == name]
    besides = [beside for beside in sweep.besides if beside.part == name]
    measured = points_of(rows, besides, sweep.models, sweep.recommended)
    cuts = {n: sweep.of(model, name)[0].cut for n, model in enumerate(sweep.models) if sweep.of(model, name)}
    return frontier([*measured, *published_points(published_on(name), GREY)], size, cuts)


def _reduction(rows: Sequence[Row], sweep: Sweep) -> WhiskerPlot | None:
    """One figure a cell, the seeds of a model side by side."""
    alphas = sorted({row.cell.alpha for row in rows})
    places = [rows[0].cell.names[1]] if rows[0].cell.names else [f"{alpha:g}" for alpha in alphas]
    bars = [
        Bar(
            place=alphas.index(row.cell.alpha),
            series=sweep.models.index(row.cell.model),
            interval=reduction,
            details=(
                f"{row.cell.model}, alpha {row.cell.alpha:g}, seed {row.cell.seed}",
                f"Token reduction: {percent(reduction)}",
            ),
            neighbour=row.cell.seed,
        )
        for row in rows
        if (reduction := row.change.token_reduction)
    ]
    names = Names("Token reduction", "" if sweep.compared else "Alpha", "Token reduction, %")
    return whiskers(bars, places, names, size=TALL, scale=100)


def _signs(subjects: Sequence[Subject]) -> Table:
    lines = []
    for each in (each for each in subjects if each.effect):
        assert each.effect  # noqa: S101  as just seen
        told = each.effect.comparison
        wider = told.with_seeds
        figures = (
            points(told.accuracy),
            percent(told.token_reduction),
            percent(told.token_reduction_by_problem),
            _sign(told.accuracy_signs),
            _sign(told.token_signs),
            points(wider.accuracy) if wider else Figure(UNKNOWN_CENTRE, told.missing["with_seeds"]),
            percent(wider.token_reduction) if wider else Figure(UNKNOWN_CENTRE, told.missing["with_seeds"]),
        )
        lines.append(Line(each.label, figures))
    return plain_table(SIGNS, lines)


def _sign(test: SignTest | None) -> Figure:
    """A test has no interval; it has the chance of so uneven a count."""
    if test is None:
        return UNKNOWN
    chance = "p < 0.001" if test.p < 0.001 else f"p = {test.p:.3f}"
    return Figure(f"{test.better} / {test.worse} / {test.equal}", chance)
