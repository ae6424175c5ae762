"""cells.csv: one line a cell and part, with every figure and the limits of its interval.

Rates are fractions; an empty field is a figure for which there is too little data.
"""

import csv
import io
from collections.abc import Iterable, Sequence

from effreason.artifacts import Interval, Measures
from effreason.report.sweep import Row

Field = str | int | float | None


def table(rows: Sequence[Row]) -> str:
    """The whole file: a header and a line for each of `rows`."""
    lines = [dict(_fields(row)) for row in rows]
    names = dict.fromkeys(name for line in lines for name in line)
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _fields(row: Row) -> Iterable[tuple[str, Field]]:
    cell = row.cell
    yield "model", cell.model
    yield "part", "validation" if row.validation else "test"
    yield "suite", row.part
    yield "algorithm", cell.algorithm
    yield "penalty", cell.penalty
    yield "alpha", cell.alpha
    yield "seed", cell.seed
    yield from _measured("baseline", row.baseline)
    yield from _measured("after", row.after)
    yield from _limits("change_accuracy", row.change.accuracy)
    yield from _limits("token_reduction", row.change.token_reduction)


def _measured(name: str, measures: Measures) -> Iterable[tuple[str, Field]]:
    yield f"{name}_problems", measures.problems
    yield f"{name}_samples", measures.samples
    yield f"{name}_unjudged", measures.unjudged
    yield from _limits(f"{name}_accuracy", measures.accuracy)
    yield from _limits(f"{name}_tokens", measures.tokens)
    yield f"{name}_median_tokens", measures.median_tokens
    yield from _limits(f"{name}_tokens_right", measures.tokens_right)
    yield from _limits(f"{name}_tokens_wrong", measures.tokens_wrong)
    yield from _limits(f"{name}_truncated", measures.truncated)
    for k, estimate in measures.pass_at.items():
        yield from _limits(f"{name}_pass_at_{k}", estimate)
    for budget, rate in measures.budgets.items():
        yield from _limits(f"{name}_accuracy_within_{budget}_tokens", rate)


def _limits(name: str, interval: Interval | None) -> Iterable[tuple[str, Field]]:
    yield name, interval.centre if interval else None
    yield f"{name}_low", interval.low if interval else None
    yield f"{name}_high", interval.high if interval else None
