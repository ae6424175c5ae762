"""An estimate of the time left in a sweep by the pace so far, or the reason why there is none.

A waiting step is assumed to take as long as others of its kind did, in this run or, for those found in the store, when
they were made; a running step is assumed to continue at its pace. Preparing and reporting are short and left out; so is
a cell with a stopped step, since this run does not return to it.
"""

import time
from collections.abc import Sequence
from typing import NamedTuple

from effreason.cost import seconds_of
from tasks.display.board import Standing, State

KINDS = ("train", "evaluate")
"""The kinds of steps that take long."""
WORDS = {"train": "training run", "evaluate": "evaluation"}


class Seconds(NamedTuple):
    """A range of durations, by the fastest and the slowest known step."""

    low: float
    high: float


class Unknown(NamedTuple):
    """The reason why there is no estimate."""

    reason: str


def remaining(standings: Sequence[Standing], side_by_side: int, now: float | None = None) -> Seconds | Unknown:
    """Estimate the seconds left with `side_by_side` concurrent steps; `now` is by the monotonic clock."""
    moment = time.monotonic() if now is None else now
    stopped = {standing.subject for standing in standings if standing.state is State.STOPPED}
    ahead = [one for one in standings if one.kind in KINDS and not one.over and one.subject not in stopped]
    lasted = {kind: _lasted(kind, standings, moment) for kind in KINDS}
    unknown = next((one.kind for one in ahead if lasted[one.kind] is None and _left(one, moment) is None), None)
    if unknown:
        return Unknown(f"no {WORDS[unknown]} has progressed far enough to estimate from")
    return Seconds(*(_together(ahead, lasted, moment, side_by_side, end) for end in (0, 1)))


def _together(
    ahead: Sequence[Standing], lasted: dict[str, Seconds | None], moment: float, side_by_side: int, end: int
) -> float:
    """Return the time for all steps in turns, at least that of the longest cell, whose steps run one after another."""
    by_subject: dict[str, float] = {}
    for one in ahead:
        usual = lasted[one.kind]
        left = _left(one, moment)
        if left is None:
            assert usual is not None  # noqa: S101  else there would be no estimate
            left = max(0.0, usual[end] - _elapsed(one, moment))
        by_subject[one.subject] = by_subject.get(one.subject, 0.0) + left
    return max(sum(by_subject.values()) / side_by_side, max(by_subject.values(), default=0.0))


def _lasted(kind: str, standings: Sequence[Standing], moment: float) -> Seconds | None:
    """Return the durations of the fastest and the slowest step of a kind; None if there is none to go by."""
    alike = [standing for standing in standings if standing.kind == kind]
    made = [seconds_of(standing.manifest) for standing in alike if standing.manifest is not None]
    pending = [_elapsed(one, moment) + left for one in alike if (left := _left(one, moment)) is not None]
    known = made or pending
    return Seconds(min(known), max(known)) if known else None


def _elapsed(standing: Standing, moment: float) -> float:
    return moment - standing.began if standing.began is not None and standing.state is State.RUNNING else 0.0


def _left(standing: Standing, moment: float) -> float | None:
    """Return the seconds to the end of the present phase of a running step; None if its pace is unknown."""
    progress = standing.progress
    if standing.state is not State.RUNNING or progress is None or progress.done <= standing.phase_first:
        return None
    pace = (moment - standing.phase_began) / (progress.done - standing.phase_first)
    return pace * max(0, progress.total - progress.done)
