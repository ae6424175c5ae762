"""The section that asks whether a model saves on easy problems and still spends on hard ones."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from effreason.artifacts import Interval
from effreason.evaluation.difficulty import FEWEST, Bin, ByDifficulty
from effreason.figures import Figure, count, percent, points, ratio, signed
from effreason.report.results import Line as Row
from effreason.report.results import plain_table
from effreason.report.sheets import Field, Line, limits
from effreason.report.studies import GREY, Study, drawn, keys_of, series_of
from effreason.report.subjects import Effect, Subject
from effreason.report.whiskers import Bar, Names, WhiskerPlot, whiskers

Scale = Callable[[Effect], ByDifficulty | None]


class Panel(NamedTuple):
    """One plot by bins."""

    title: str
    y: str
    before: Callable[[Bin], Interval | None] | None
    """None where the figure is a change."""
    after: Callable[[Bin], Interval | None]
    scale: float
    figure: Callable[[Interval], Figure]
    from_zero: bool = True


PANELS = (
    Panel("Tokens", "Mean tokens", lambda each: each.tokens_before, lambda each: each.tokens_after, 1, count),
    Panel(
        "Accuracy",
        "Accuracy, %",
        lambda each: each.accuracy_before,
        lambda each: each.accuracy_after,
        100,
        percent,
        False,
    ),
    Panel("Token reduction", "Token reduction, %", None, lambda each: each.token_reduction, 100, percent),
)
COLUMNS = (
    "Reduction, hard − easy, points",
    "Tokens, hard − easy",
    "Tokens, hard / easy",
)


def studies(subjects: Sequence[Subject]) -> list[Study]:
    """`subjects` are those of one model on one suite."""
    made = [_study("By the base model's solve rate", subjects, lambda effect: effect.by_solve_rate)]
    if any(each.effect and each.effect.by_source for each in subjects):
        made.append(_study("By the source's own difficulty", subjects, lambda effect: effect.by_source))
    return made


def lines(subjects: Sequence[Subject]) -> Iterator[Line]:
    """One a bin of every scale of every subject, with what holds for the whole scale repeated."""
    for each in (each for each in subjects if each.effect):
        assert each.effect  # noqa: S101  as just seen
        for scale in (each.effect.by_solve_rate, each.effect.by_source):
            for part in scale.bins if scale else ():
                yield {
                    "model": each.model,
                    "suite": each.suite,
                    "subject": each.label,
                    "scale": scale.scale if scale else None,
                    **_bin(part),
                    **_slopes(scale),
                }


def _study(title: str, subjects: Sequence[Subject], scale: Scale) -> Study:
    told = [(each, found) for each in subjects if each.effect and (found := scale(each.effect))]
    series = series_of(subjects)
    table = plain_table(
        COLUMNS, [_base_row(subjects[0].label, told[0][1]), *(_row(each.label, of) for each, of in told)]
    )
    plots = drawn(*(_plot(panel, told, series) for panel in PANELS))
    return Study(title, keys_of(series), plots, table, list(_notes([found for _, found in told])))


def _plot(panel: Panel, told: Sequence[tuple[Subject, ByDifficulty]], series: dict[str, int]) -> WhiskerPlot | None:
    names = list(dict.fromkeys(part.label for _, scale in told for part in scale.bins))
    bars = []
    for number, (subject, scale) in enumerate(told):
        for part in scale.bins:
            place = names.index(part.label)
            if number == 0 and panel.before:
                bars.append(_bar(place, GREY, panel.before(part), panel, f"before, {part.label}", part))
            title = f"{subject.label}, {part.label}"
            bars.append(_bar(place, series[subject.label], panel.after(part), panel, title, part))
    known = [bar for bar in bars if bar]
    return whiskers(
        known,
        names,
        Names(panel.title, "Difficulty", panel.y),
        scale=panel.scale,
        joined=True,
        from_zero=panel.from_zero,
    )


def _bar(place: int, series: int, interval: Interval | None, panel: Panel, title: str, part: Bin) -> Bar | None:
    if interval is None:
        return None
    details = (title, f"{panel.title}: {panel.figure(interval)}", f"{part.problems} problems")
    return Bar(place, series, interval, details)


def _base_row(label: str, scale: ByDifficulty) -> Row:
    return Row(label, (None, signed(_times(scale.tokens_slope_before, _width(scale))), ratio(scale.adaptation_before)))


def _row(label: str, scale: ByDifficulty) -> Row:
    reduction = points(_times(scale.reduction_slope, _width(scale)))
    slope = signed(_times(scale.tokens_slope_after, _width(scale)))
    return Row(label, (reduction, slope, ratio(scale.adaptation_after)))


def _width(scale: ByDifficulty) -> float:
    """From the easiest problem to the hardest, in the unit of the scale: slopes are told over this."""
    return 1.0 if scale.scale == "solve rate" or not scale.bins else scale.bins[-1].high - scale.bins[0].low


def _times(interval: Interval | None, factor: float) -> Interval | None:
    return interval and Interval(*(factor * limit for limit in interval))


def _notes(scales: Sequence[ByDifficulty]) -> Iterator[str]:
    if any(part.problems < FEWEST for scale in scales for part in scale.bins):
        yield f"Bins of fewer than {FEWEST} problems have no figures."
    yield from dict.fromkeys(reason for scale in scales for reason in scale.missing.values())


def _bin(part: Bin) -> dict[str, Field]:
    figures = (
        "tokens_before", "tokens_after", "token_reduction", "accuracy_before", "accuracy_after", "accuracy_change",
    )  # fmt: skip
    found: dict[str, Field] = {"bin": part.label, "low": part.low, "high": part.high, "problems": part.problems}
    for name in figures:
        found |= limits(name, getattr(part, name))
    return found


def _slopes(scale: ByDifficulty | None) -> dict[str, Field]:
    names = ("reduction_slope", "tokens_slope_before", "tokens_slope_after", "adaptation_before", "adaptation_after")
    found: dict[str, Field] = {}
    for name in names:
        found |= limits(name, getattr(scale, name))
    return found
