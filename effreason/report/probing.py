"""The section on faithfulness: does a model rely on the reasoning that it shows, and does training change that?"""

from collections.abc import Iterator, Sequence

from effreason.artifacts import FaithfulnessMeasures
from effreason.faithfulness.paired import FaithfulnessChange
from effreason.figures import Figure, percent, points, ratio, signed
from effreason.report.probed import Probed
from effreason.report.results import Line as Row
from effreason.report.results import Table, plain_table
from effreason.report.sheets import Field, Line, limits
from effreason.report.studies import GREY, Study, drawn, keys_of
from effreason.report.whiskers import Bar, Names, WhiskerPlot, whiskers

COLUMNS = (
    "Area over the curve",
    "Correct without reasoning",
    "Filler: same answer",
    "Mistake: followed",
    "… corrected",
    "… ignored",
    "Wrong hint: taken",
    "… and admitted",
    "Correct hint: taken",
)
CHANGES = (
    "Problems that both solve",
    "Area over the curve",
    "… at equal length",
    "Filler: same answer, points",
    "Mistake: followed, points",
    "Wrong hint: taken, points",
)
RATES = (
    "area_over_curve", "right_without_reasoning", "filler_agreement", "mistake_followed", "mistake_corrected",
    "mistake_ignored", "hint_taken", "hint_admitted", "right_hint_taken", "reasoning_tokens",
)  # fmt: skip


def studies(probed: Sequence[Probed]) -> list[Study]:
    """`probed` are of one model on one suite, the base model first; none where no probes were asked."""
    if not probed:
        return []
    series = {each.label: GREY if each.change is None else n - 1 + (n - 1) // GREY for n, each in enumerate(probed)}
    keys = keys_of(series)
    return [
        Study(
            "How far the answer depends on the reasoning",
            keys,
            drawn(*_plots(probed, series)),
            _table(probed),
            _notes(probed),
        ),
        _change_study(probed),
    ]


def lines(probed: Sequence[Probed]) -> Iterator[Line]:
    """One a model and suite: every rate, and the agreement by fraction."""
    for each in probed:
        told: dict[str, Field] = {"model": each.model, "suite": each.suite, "subject": each.label}
        told |= {"problems": each.measures.problems, "unanswered": each.measures.unanswered}
        told |= {"mistakes": each.measures.mistakes, "hints": each.measures.hints}
        for name in RATES:
            told |= limits(name, getattr(each.measures, name))
        for fraction, rate in each.measures.agreement.items():
            told |= limits(f"agreement_at_{fraction}", rate)
        yield told


def _plots(probed: Sequence[Probed], series: dict[str, int]) -> Iterator[WhiskerPlot | None]:
    fractions = list(dict.fromkeys(fraction for each in probed for fraction in each.measures.agreement))
    bars = [
        Bar(
            fractions.index(kept),
            series[each.label],
            rate,
            (f"{each.label}, {kept} kept", f"Same answer: {percent(rate)}"),
        )
        for each in probed
        for kept, rate in each.measures.agreement.items()
        if rate
    ]
    names = Names("Early answering", "Share of the reasoning that is kept", "Same answer, %")
    yield whiskers(bars, fractions, names, scale=100, joined=True)
    kinds = {"mistake_followed": "mistake", "filler_agreement": "filler", "hint_taken": "hint"}
    others = [
        Bar(place, series[each.label], rate, (f"{each.label}, {name}", f"{percent(rate)} of the problems"))
        for each in probed
        for place, (field, name) in enumerate(kinds.items())
        if (rate := getattr(each.measures, field))
    ]
    names = Names("Mistake followed, filler agrees, hint taken", "Probe", "Problems, %")
    yield whiskers(others, list(kinds.values()), names, scale=100)


def _table(probed: Sequence[Probed]) -> Table:
    return plain_table(COLUMNS, [Row(each.label, _figures(each.measures)) for each in probed])


def _figures(measures: FaithfulnessMeasures) -> list[Figure | None]:
    rates = (
        measures.right_without_reasoning, measures.filler_agreement, measures.mistake_followed,
        measures.mistake_corrected, measures.mistake_ignored, measures.hint_taken, measures.hint_admitted,
        measures.right_hint_taken,
    )  # fmt: skip
    return [ratio(measures.area_over_curve), *map(percent, rates)]


def _change_study(probed: Sequence[Probed]) -> Study:
    rows = [Row(each.label, _change(each.change)) for each in probed if each.change]
    return Study("What changed, on the problems that both solve", (), (), plain_table(CHANGES, rows), ())


def _change(change: FaithfulnessChange) -> list[Figure | None]:
    return [
        Figure(str(change.problems), ""),
        signed(change.area_over_curve),
        signed(change.at_equal_length),
        points(change.filler_agreement),
        points(change.mistake_followed),
        points(change.hint_taken),
    ]


def _notes(probed: Sequence[Probed]) -> list[str]:
    counts = "; ".join(f"{each.label}: {each.measures.problems} problems probed" for each in probed)
    return [f"{counts}.", *dict.fromkeys(reason for each in probed for reason in each.measures.missing.values())]
