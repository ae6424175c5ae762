"""The results as a table in the Prefect UI: a row for each cell and suite, after those of the base models.

It is read from report.json, as any other program would.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel

from effreason.artifacts import Interval, Report
from effreason.figures import count, percent
from effreason.specs import Address, Cell

FILE = "report.json"
BASE = "base model"
Row = dict[str, str]


class Measured(BaseModel):
    accuracy: Interval | None
    tokens: Interval | None


class Change(BaseModel):
    token_reduction: Interval | None


class Reported(BaseModel):
    """The part of one training run's results on one suite that is shown; `effreason.report.schema` has all of it."""

    model: str
    suite: str
    alpha: float
    seed: int
    baseline: Measured
    after: Measured
    change: Change


class Page(BaseModel):
    """The part of report.json that is read."""

    cells: tuple[Reported, ...]


def rows(folder: Path, report: Report, cells: Sequence[Cell], browser: str | None) -> list[Row]:
    """Return the rows of the table, with 95% intervals in brackets.

    `folder` has the report's files, `cells` are those of its spec, and `browser` is the address of the artifacts.
    """
    reported = Page.model_validate_json((folder / FILE).read_text(encoding="utf-8")).cells
    by_key = {(cell.model, cell.alpha, cell.seed): cell for cell in cells}
    table = []
    for model, suite in dict.fromkeys((cell.model, cell.suite) for cell in reported):
        ours = [cell for cell in reported if (cell.model, cell.suite) == (model, suite)]
        made = [by_key[each.model, each.alpha, each.seed] for each in ours]
        table.append(_baseline(ours[0]) | _links({"weights": None, "evaluation": made[0].baseline}, browser))
        for each, cell in zip(ours, made, strict=True):
            addresses = {"weights": cell.policy, "evaluation": cell.after}
            table.append(_trained(each, report.recommended) | _links(addresses, browser))
    return list(_without_monotony(table))


def _baseline(cell: Reported) -> Row:
    return {
        "model": cell.model,
        "suite": cell.suite,
        "alpha": BASE,
        "seed": "",
        "accuracy": str(percent(cell.baseline.accuracy)),
        "tokens": str(count(cell.baseline.tokens)),
        "token reduction": "",
        "recommended": "",
    }


def _trained(cell: Reported, recommended: Mapping[str, float | None]) -> Row:
    return {
        "model": cell.model,
        "suite": cell.suite,
        "alpha": f"{cell.alpha:g}",
        "seed": str(cell.seed),
        "accuracy": str(percent(cell.after.accuracy)),
        "tokens": str(count(cell.after.tokens)),
        "token reduction": str(percent(cell.change.token_reduction)),
        "recommended": "yes" if recommended.get(cell.model) == cell.alpha else "",
    }


def _links(addresses: Mapping[str, Address | None], browser: str | None) -> Row:
    if browser is None:
        return {}
    return {name: f"[{name}]({browser}/{address}/)" if address else "" for name, address in addresses.items()}


def _without_monotony(table: Sequence[Row]) -> Iterator[Row]:
    """Leave out the columns that have the same value for every training run."""
    same = [name for name in ("model", "suite", "seed") if len({row[name] for row in table} - {""}) == 1]
    columns = [name for name in dict.fromkeys(name for row in table for name in row) if name not in same]
    for row in table:
        yield {name: row.get(name, "") for name in columns}
