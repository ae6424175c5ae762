"""The section on token budgets: accuracy within a budget, efficiency scores, and the truncated base model."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from effreason.figures import Figure, count, percent, points, ratio, signed
from effreason.report.axes import Axis, Size, colour, fitted
from effreason.report.lines import BOTTOM, LEFT, RIGHT, TOP, WIDE, Key, Panel, Trace, dash, path
from effreason.report.lines import PANEL as NARROW
from effreason.report.results import Line as Row
from effreason.report.results import Table, plain_table
from effreason.report.sheets import Line, limits
from effreason.report.studies import series_of
from effreason.report.subjects import Effect, Subject

COLUMNS = (
    "Area under the curve",
    "Tokens per correct answer",
    "AES",
    "AES, strict",
    "Base truncated at",
    "Accuracy at that limit",
    "Policy minus truncated base, points",
)


class Budgets(NamedTuple):
    """One model on one suite. Made by `budgets`; drawn by the page."""

    model: str
    keys: Sequence[Key]
    wide: Panel
    narrow: Panel
    table: Table
    longest: int
    """Tokens at which the area ends."""
    notes: Sequence[str]


def budgets(subjects: Sequence[Subject], recommended: float | None) -> Budgets:
    """`subjects` are those of one model on one suite; bands are drawn for the base model and `recommended`."""
    series = series_of(subjects)
    effects = [each.effect for each in subjects if each.effect]
    return Budgets(
        model=subjects[0].model,
        keys=[Key(number, label, colour(number), dash(number)) for label, number in series.items()],
        wide=_panel(subjects, series, recommended, WIDE),
        narrow=_panel(subjects, series, recommended, NARROW),
        table=plain_table(COLUMNS, list(_rows(subjects))),
        longest=effects[0].efficiency.longest,
        notes=list(dict.fromkeys(reason for effect in effects for reason in effect.efficiency.missing.values())),
    )


def lines(subjects: Sequence[Subject]) -> Iterator[Line]:
    """One a budget of every subject."""
    for each in subjects:
        for budget, rate in zip(each.budgets, each.within, strict=True):
            yield {
                "model": each.model,
                "suite": each.suite,
                "subject": each.label,
                "budget": budget,
                **limits("accuracy_within", rate),
            }


def scores(subjects: Sequence[Subject]) -> Iterator[Line]:
    """The table as CSV."""
    names = (
        "area_before", "area_after", "area_change", "tokens_per_right_before", "tokens_per_right_after",
        "tokens_per_right_reduction", "aes", "aes_strict",
    )  # fmt: skip
    for each in (each for each in subjects if each.effect):
        assert each.effect  # noqa: S101  as just seen
        line: dict[str, str | float | None] = {"model": each.model, "suite": each.suite, "subject": each.label}
        for name in names:
            line |= limits(name, getattr(each.effect.efficiency, name))
        if cut := each.effect.spending:
            line |= {"cut_at": cut.limit, **limits("cut_accuracy", cut.accuracy), **limits("cut_gain", cut.gain)}
        yield line


def _panel(subjects: Sequence[Subject], series: dict[str, int], recommended: float | None, size: Size) -> Panel:
    x = fitted([0, *(each.budgets[-1] for each in subjects)], LEFT, size.width - RIGHT, 4 if size is NARROW else 7)
    y = fitted([0, 100], size.height - BOTTOM, TOP, 5)
    traces = [_trace(each, series[each.label], x, y, _banded(each, recommended)) for each in subjects]
    return Panel("Accuracy, %", "Token budget per completion", size, x, y, traces)


def _banded(subject: Subject, recommended: float | None) -> bool:
    return subject.effect is None or (subject.alpha is not None and subject.alpha == recommended)


def _trace(subject: Subject, series: int, x: Axis, y: Axis, banded: bool) -> Trace:
    known = [(at, rate) for at, rate in zip(subject.budgets, subject.within, strict=True) if rate]
    budgets = [at for at, _ in known]
    line = path(budgets, [100 * rate.centre for _, rate in known], x, y)
    upper = path(budgets, [100 * rate.high for _, rate in known], x, y)
    lower = path(budgets[::-1], [100 * rate.low for _, rate in known[::-1]], x, y)
    return Trace(series, colour(series), dash(series), line, band=f"{upper} {lower}" if banded else "")


def _rows(subjects: Sequence[Subject]) -> Iterator[Row]:
    effects = [(each.label, each.effect) for each in subjects if each.effect]
    first = effects[0][1].efficiency
    before = [ratio(first.area_before), count(first.tokens_per_right_before)]
    yield Row(subjects[0].label, [*before, *[None] * (len(COLUMNS) - len(before))])
    for label, effect in effects:
        yield Row(label, _figures(effect))


def _figures(effect: Effect) -> list[Figure | None]:
    scores, cut = effect.efficiency, effect.spending
    return [
        ratio(scores.area_after),
        count(scores.tokens_per_right_after),
        signed(scores.aes),
        signed(scores.aes_strict),
        Figure(str(cut.limit), "tokens") if cut else None,
        percent(cut.accuracy) if cut else None,
        points(cut.gain) if cut else None,
    ]
