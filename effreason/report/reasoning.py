"""The section on behaviour: what became of checking, going back, exploring, planning, and of saying things again."""

from collections.abc import Callable, Iterator, Sequence

from effreason.artifacts import Interval
from effreason.behaviour.kinds import KINDS, Kind
from effreason.behaviour.measures import BehaviourRates
from effreason.figures import Figure, ratio, signed
from effreason.report.results import Line as Row
from effreason.report.results import plain_table
from effreason.report.sheets import Field, Line, limits
from effreason.report.studies import Study, drawn, keys_of
from effreason.report.subjects import Effect, Subject
from effreason.report.sweep import BASELINE, CONCISE
from effreason.report.whiskers import Bar, Names, WhiskerPlot, whiskers

GROUPS = ("everything", "right", "wrong")
"""Fields of `BehaviourMeasures`: their place is their series."""
WORDS = {"everything": "all answers", "right": "correct answers", "wrong": "wrong answers"}

Rate = Callable[[BehaviourRates], Interval | None]


def studies(subjects: Sequence[Subject]) -> list[Study]:
    """`subjects` are those of one model on one suite, the base model first."""
    return [
        _study("Occurrences per problem", "Per problem", subjects, lambda rates: rates.per_problem),
        _study("Occurrences per 1,000 tokens", "Per 1,000 tokens", subjects, lambda rates: rates.per_1000_tokens),
        _changes(subjects),
    ]


def lines(subjects: Sequence[Subject]) -> Iterator[Line]:
    """One a subject, behaviour and group of answers."""
    for each in subjects:
        for kind in KINDS:
            for group in GROUPS:
                rates: BehaviourRates = getattr(each.behaviour[kind], group)
                told: dict[str, Field] = {"model": each.model, "suite": each.suite, "subject": each.label}
                told |= {"behaviour": kind, "answers": group, "completions": rates.completions}
                for name in ("per_problem", "per_1000_tokens", "share"):
                    told |= limits(name, getattr(rates, name))
                yield told


def _study(title: str, unit: str, subjects: Sequence[Subject], rate: Rate) -> Study:
    plots = drawn(*(_plot(kind, unit, subjects, rate) for kind in KINDS))
    table = plain_table(
        [kind.capitalize() for kind in KINDS],
        [Row(each.label, [ratio(rate(each.behaviour[kind].everything)) for kind in KINDS]) for each in subjects],
    )
    series = {WORDS[group]: number for number, group in enumerate(GROUPS)}
    return Study(title, keys_of(series), plots, table, ())


def _plot(kind: Kind, unit: str, subjects: Sequence[Subject], rate: Rate) -> WhiskerPlot | None:
    bars = []
    for place, each in enumerate(subjects):
        for series, group in enumerate(GROUPS):
            rates: BehaviourRates = getattr(each.behaviour[kind], group)
            if known := rate(rates):
                details = (
                    f"{each.label}, {WORDS[group]}",
                    f"{kind.capitalize()}: {ratio(known)} {unit.lower()}",
                    f"{rates.completions} completions",
                )
                bars.append(Bar(place, series, known, details))
    places = [_short(each) for each in subjects]
    return whiskers(bars, places, Names(kind.capitalize(), _across(subjects), unit))


def _across(subjects: Sequence[Subject]) -> str:
    return "Alpha" if any(each.alpha is not None for each in subjects) else ""


def _short(subject: Subject) -> str:
    """A label that fits under a plot."""
    return {BASELINE: "base", CONCISE: "brief"}.get(subject.label, subject.label.removeprefix("α "))


def _changes(subjects: Sequence[Subject]) -> Study:
    columns = [name for kind in KINDS for name in (f"{kind.capitalize()} per problem", "… per 1,000 tokens")]
    rows = [Row(each.label, _both(each.effect)) for each in subjects if each.effect]
    return Study("What changed, paired by problem", (), (), plain_table(columns, rows), ())


def _both(effect: Effect) -> list[Figure]:
    changes = [effect.behaviour[kind] for kind in KINDS]
    return [figure for each in changes for figure in (signed(each.per_problem), signed(each.per_1000_tokens))]
