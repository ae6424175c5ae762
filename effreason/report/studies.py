"""One model on one suite in one section of the page: plots side by side, a table, and what is missing and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from effreason.report.axes import COLOURS, colour, marker
from effreason.report.results import Table
from effreason.report.subjects import Subject
from effreason.report.whiskers import WhiskerPlot

GREY = COLOURS - 1
"""The series of the base model, in every study."""


class Key(NamedTuple):
    """One entry of a legend of marks."""

    series: int
    label: str
    colour: str
    marker: str


@dataclass(frozen=True)
class Study:
    """Made by the sections; drawn by macros.html."""

    title: str
    keys: Sequence[Key]
    plots: Sequence[WhiskerPlot]
    table: Table | None
    notes: Sequence[str]
    """Sentences: among them why something is not told."""


def series_of(subjects: Sequence[Subject]) -> dict[str, int]:
    """By label: grey for the base model, then the other colours for the trained ones in order, then the rest."""
    after = sorted((each for each in subjects if each.effect), key=lambda each: each.alpha is None)
    others = [each.label for each in after]
    first = [each.label for each in subjects if not each.effect]
    return {**dict.fromkeys(first, GREY), **{label: n + n // GREY for n, label in enumerate(others)}}


def keys_of(series: dict[str, int]) -> list[Key]:
    return [Key(number, label, colour(number), marker(number)) for label, number in series.items()]


def drawn(*plots: WhiskerPlot | None) -> list[WhiskerPlot]:
    """Those that there is something in."""
    return [plot for plot in plots if plot is not None]
