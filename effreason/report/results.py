"""The tables of the frontier: a base model, what a training run has to beat, and every training run."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from effreason.artifacts import Measures
from effreason.evaluation.measures import Change
from effreason.figures import UNKNOWN, Figure, count, percent, points, thousands
from effreason.report.sweep import Beside, Row, before_of


class Line(NamedTuple):
    """One row of figures."""

    label: str
    figures: Sequence[Figure | None]
    """One a column; None where there is nothing to compare with."""
    seed: str = "–"
    recommended: bool = False


class Block(NamedTuple):
    """The rows of one model."""

    model: str
    lines: Sequence[Line]


class Table(NamedTuple):
    """Drawn by macros.html."""

    columns: Sequence[str]
    blocks: Sequence[Block]


def plain_table(columns: Sequence[str], lines: Sequence[Line]) -> Table:
    """Rows of one model."""
    return Table(columns, [Block("", lines)])


class Column(NamedTuple):
    """One figure of every row."""

    name: str
    figure: Callable[[Measures, Change | None], Figure | None]


RESULTS = (
    Column("Accuracy", lambda measures, _: percent(measures.accuracy)),
    Column("Change, points", lambda _, change: points(change.accuracy) if change else None),
    Column("Tokens", lambda measures, _: count(measures.tokens)),
    Column("Token reduction", lambda _, change: percent(change.token_reduction) if change else None),
)
DETAILS = (
    Column("Tokens when correct", lambda measures, _: count(measures.tokens_right)),
    Column("Tokens when wrong", lambda measures, _: count(measures.tokens_wrong)),
    Column("Tokens per correct answer", lambda measures, _: count(measures.tokens_per_right)),
    Column("Median tokens", lambda measures, _: _plain(measures.median_tokens)),
    Column("Truncated", lambda measures, _: percent(measures.truncated)),
    Column("Unjudged", lambda measures, _: _plain(measures.unjudged)),
)
THINKING = (
    Column("Thinking tokens", lambda measures, _: count(measures.thinking_tokens)),
    Column("Answer tokens", lambda measures, _: count(measures.answer_tokens)),
)


def results(rows: Sequence[Row], besides: Sequence[Beside], recommended: dict[str, float | None]) -> Table:
    """What the report is about. `rows` and `besides` are those of one part."""
    first = rows[0].baseline
    columns = [*RESULTS, *map(_pass_at, first.pass_at), *(_majority_at(k) for k in first.majority_at if k != "1")]
    return _table(rows, besides, recommended, columns)


def details(rows: Sequence[Row], besides: Sequence[Beside], recommended: dict[str, float | None]) -> Table:
    """What helps to understand it."""
    thinking = THINKING if any(row.baseline.thinking_tokens for row in rows) else ()
    return _table(rows, besides, recommended, [*DETAILS, *thinking, *map(_within, rows[0].baseline.budgets)])


def _pass_at(k: str) -> Column:
    return Column(f"pass@{k}", lambda measures, _: percent(measures.pass_at.get(k)))


def _majority_at(k: str) -> Column:
    return Column(f"maj@{k}", lambda measures, _: percent(measures.majority_at.get(k)))


def _within(budget: str) -> Column:
    return Column(f"Accuracy within {budget} tokens", lambda measures, _: percent(measures.budgets.get(budget)))


def _plain(number: float | None) -> Figure:
    """A description of the sample rather than an estimate, so without an interval; the page says so."""
    return UNKNOWN if number is None else Figure(thousands(number), "")


def _table(
    rows: Sequence[Row], besides: Sequence[Beside], recommended: dict[str, float | None], columns: Sequence[Column]
) -> Table:
    blocks = [
        _block(
            [row for row in rows if row.cell.model == model],
            [beside for beside in besides if beside.model == model],
            recommended[model],
            columns,
        )
        for model in dict.fromkeys(row.cell.model for row in rows)
    ]
    return Table([column.name for column in columns], blocks)


def _block(
    rows: Sequence[Row], besides: Sequence[Beside], recommended: float | None, columns: Sequence[Column]
) -> Block:
    first = rows[0]
    baseline = Line(before_of(first.cell), [column.figure(first.baseline, None) for column in columns])
    beaten = [Line(each.label, [column.figure(each.measures, each.change) for column in columns]) for each in besides]
    trained = [
        Line(
            label=row.cell.names[1] if row.cell.names else f"{row.cell.alpha:g}",
            figures=[column.figure(row.after, row.change) for column in columns],
            seed=str(row.cell.seed),
            recommended=row.cell.alpha == recommended,
        )
        for row in rows
    ]
    return Block(first.cell.model, [baseline, *beaten, *trained])
