"""The tables of the page: every model as it comes and after each training, one column a figure."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from effreason.artifacts import Measures
from effreason.evaluation.measures import Change
from effreason.report.figures import UNKNOWN, Figure, count, percent, points, thousands
from effreason.report.sweep import Row
from effreason.report.table import BASELINE


class Line(NamedTuple):
    """One row: a model before training, or after one training."""

    alpha: str
    seed: str
    recommended: bool
    figures: Sequence[Figure | None]
    """One a column; None where the baseline has nothing to be compared with."""


class Block(NamedTuple):
    """The rows of one model."""

    model: str
    lines: Sequence[Line]


class Table(NamedTuple):
    """Figures of one part. Made by `results` and `details`; drawn by page.html."""

    columns: Sequence[str]
    blocks: Sequence[Block]


class Column(NamedTuple):
    """One figure of every row."""

    name: str
    figure: Callable[[Measures, Change | None], Figure | None]


def results(rows: Sequence[Row], recommended: dict[str, float | None]) -> Table:
    """What the report is about. `rows` are those of one part."""
    return _table(rows, recommended, [*RESULTS, *map(_pass_at, rows[0].baseline.pass_at)])


def details(rows: Sequence[Row], recommended: dict[str, float | None]) -> Table:
    """What helps to understand it. `rows` are those of one part."""
    return _table(rows, recommended, [*DETAILS, *map(_within, rows[0].baseline.budgets)])


RESULTS = (
    Column("Accuracy", lambda measures, _: percent(measures.accuracy)),
    Column("Change, points", lambda _, change: points(change.accuracy) if change else None),
    Column("Tokens", lambda measures, _: count(measures.tokens)),
    Column("Token reduction", lambda _, change: percent(change.token_reduction) if change else None),
)
DETAILS = (
    Column("Tokens when right", lambda measures, _: count(measures.tokens_right)),
    Column("Tokens when wrong", lambda measures, _: count(measures.tokens_wrong)),
    Column("Median tokens", lambda measures, _: _plain(measures.median_tokens)),
    Column("Truncated", lambda measures, _: percent(measures.truncated)),
    Column("Unjudged", lambda measures, _: _plain(measures.unjudged)),
)


def _pass_at(k: str) -> Column:
    return Column(f"pass@{k}", lambda measures, _: percent(measures.pass_at.get(k)))


def _within(budget: str) -> Column:
    return Column(f"Accuracy within {budget} tokens", lambda measures, _: percent(measures.budgets.get(budget)))


def _plain(number: float | None) -> Figure:
    """A description of the sample rather than an estimate, so without an interval; the page says so."""
    return UNKNOWN if number is None else Figure(thousands(number), "")


def _table(rows: Sequence[Row], recommended: dict[str, float | None], columns: Sequence[Column]) -> Table:
    models = dict.fromkeys(row.cell.model for row in rows)
    blocks = [_block(model, [row for row in rows if row.cell.model == model], recommended, columns) for model in models]
    return Table([column.name for column in columns], blocks)


def _block(model: str, rows: Sequence[Row], recommended: dict[str, float | None], columns: Sequence[Column]) -> Block:
    baseline = Line(BASELINE, "–", False, [column.figure(rows[0].baseline, None) for column in columns])
    trained = [
        Line(
            alpha=f"{row.cell.alpha:g}",
            seed=str(row.cell.seed),
            recommended=row.cell.alpha == recommended[model],
            figures=[column.figure(row.after, row.change) for column in columns],
        )
        for row in rows
    ]
    return Block(model, [baseline, *trained])
