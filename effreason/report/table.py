"""The small table: what each alpha costs and saves, for a terminal or a page of markdown."""

from collections.abc import Sequence
from typing import NamedTuple

from effreason.cost import HOUR, clock, sum_of
from effreason.figures import Figure, count, percent, points
from effreason.report.schema import CostOf, Document, ReportedCell
from effreason.report.summary import incomplete
from effreason.report.sweep import BASELINE


class TableRow(NamedTuple):
    """One line. Made by `rows`; laid out by `markdown`."""

    model: str
    suite: str
    alpha: str
    seed: str
    accuracy: Figure
    change: Figure | None
    """None in the line of the baseline, as is the token reduction."""
    tokens: Figure
    token_reduction: Figure | None


def rows(cells: Sequence[ReportedCell]) -> list[TableRow]:
    """By model and suite, the baseline first and then every cell."""
    lines = []
    for model, suite in dict.fromkeys((cell.model, cell.suite) for cell in cells):
        ours = [cell for cell in cells if (cell.model, cell.suite) == (model, suite)]
        lines += [_baseline(ours[0]), *map(_trained, ours)]
    return lines


def markdown(report: Document) -> str:
    """The table, aligned so that it reads in a terminal too, and under it what is recommended and what it cost.

    Columns that would say the same in every line are left out.
    """
    lines = rows(report.cells)
    columns = {
        "model": [line.model for line in lines],
        "suite": [line.suite for line in lines],
        "alpha": [line.alpha for line in lines],
        "seed": [line.seed for line in lines],
        "accuracy": [str(line.accuracy) for line in lines],
        "change, points": [_optional(line.change) for line in lines],
        "tokens": [str(line.tokens) for line in lines],
        "token reduction": [_optional(line.token_reduction) for line in lines],
    }
    for name in ("model", "suite", "seed"):
        if len(set(columns[name]) - {""}) == 1:
            del columns[name]
    brackets = "Brackets: 95% confidence intervals over problems."
    advice = [*_incomplete(report), *_advice(report)]
    return "\n".join([*_pipes(columns), "", brackets, "", *advice, "", _cost(report.costs[-1])])


def _baseline(cell: ReportedCell) -> TableRow:
    measured = cell.baseline
    return TableRow(
        cell.model, cell.suite, BASELINE, "", percent(measured.accuracy), None, count(measured.tokens), None
    )


def _trained(cell: ReportedCell) -> TableRow:
    return TableRow(
        model=cell.model,
        suite=cell.suite,
        alpha="" if cell.alpha is None else f"{cell.alpha:g}",
        seed=str(cell.seed),
        accuracy=percent(cell.after.accuracy),
        change=points(cell.change.accuracy),
        tokens=count(cell.after.tokens),
        token_reduction=percent(cell.change.token_reduction),
    )


def _optional(figure: Figure | None) -> str:
    return "" if figure is None else str(figure)


def _pipes(columns: dict[str, list[str]]) -> list[str]:
    widths = {name: max(map(len, [name, *values])) for name, values in columns.items()}
    header = [f"{name:{widths[name]}}" for name in columns]
    dashes = ["-" * width for width in widths.values()]
    body = zip(*([f"{value:{widths[name]}}" for value in values] for name, values in columns.items()), strict=True)
    return [f"| {' | '.join(line)} |" for line in (header, dashes, *body)]


def _incomplete(report: Document) -> list[str]:
    reported = len({(cell.model, cell.alpha, cell.seed) for cell in report.cells})
    sentence = incomplete(reported, report.held_back)
    return [sentence, ""] if sentence else []


def _advice(report: Document) -> list[str]:
    return [
        f"{model}: {'' if advice.alpha is None else f'alpha {advice.alpha:g} is recommended. '}{advice.reason}"
        for model, advice in report.recommended.items()
    ]


def _cost(total: CostOf) -> str:
    figures = [
        f"{total.number} steps took {clock(total.seconds)}",
        f"{total.gpu_seconds / HOUR:.2f} GPU-hours" if total.gpu_seconds else "no GPU",
        f"{total.generated_tokens:,} generated tokens",
    ]
    if total.money is not None and total.currency is not None:
        figures.append(sum_of(total.money, total.currency))
    return f"Cost: {', '.join(figures)}; measured when they were made, so without intervals."
