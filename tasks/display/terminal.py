"""The display in the terminal: a live bar for each running step, or plain lines if the output is not a terminal."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Column

from effreason.artifacts import Manifest
from effreason.errors import EffreasonError
from effreason.progress import Progress
from tasks.display.logs import JsonLines
from tasks.running.launching import Listener
from tasks.running.process import Stopped
from tasks.settings import logs_as_json

SECONDS_BETWEEN_LINES = 10.0
"""Least interval between lines on the progress of one step."""


@contextmanager
def shown(name: str, total: int) -> Iterator[Listener]:
    """Yield a display of a run of `total` steps on standard output: bars in a terminal, otherwise lines or JSON."""
    if logs_as_json():
        yield JsonLines(name)
        return
    console = Console(file=sys.stdout)
    if not console.is_terminal or console.is_dumb_terminal:
        yield Lines(total)
        return
    with _bars(console) as bars:
        yield Live(bars, name, total)


def figures_of(progress: Progress) -> str:
    """Return the progress with its figures, such as `train 12/40, reward 0.81, tokens 61`."""
    done = f" {progress.done}/{progress.total}" if progress.total else ""
    return ", ".join([f"{progress.phase}{done}", *_numbers(progress)])


def failure_of(error: EffreasonError) -> str:
    """Return `stopped`, or that the step failed and why."""
    return "stopped" if isinstance(error, Stopped) else f"failed. {error.happened}"


class Lines:
    """A display that prints a line when a step begins and ends, and one every few seconds in between."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._paces: dict[str, Pace] = {}
        self._lock = threading.Lock()
        self._started = time.monotonic()

    def found(self, label: str, manifest: Manifest) -> None:
        self._finish(label, "found in the store")

    def began(self, label: str) -> None:
        self._paces[label] = Pace()
        self._print(f"{label}: began")

    def progressed(self, label: str, progress: Progress) -> None:
        pace = self._paces[label]
        pace.reach(progress)
        if progress.total and pace.silence() >= SECONDS_BETWEEN_LINES:
            pace.spoke = time.monotonic()
            self._print(f"{label}: {figures_of(progress)}{pace.left()}")

    def alarmed(self, label: str, sentence: str) -> None:
        self._print(f"{label}: {sentence}")

    def said(self, label: str, line: str) -> None:
        pass  # logs are in the Prefect UI; a terminal has no room for every step's log

    def ended(self, label: str, manifest: Manifest) -> None:
        self._finish(label, f"done in {clock(time.monotonic() - self._paces[label].began)}")

    def failed(self, label: str, error: EffreasonError) -> None:
        self._print(f"{label}: {failure_of(error)}")

    def _finish(self, label: str, words: str) -> None:
        with self._lock:
            self._done += 1
            done = self._done
        self._print(f"{label}: {words} ({done} of {self._total} steps)")

    def _print(self, line: str) -> None:
        with self._lock:
            print(f"{clock(time.monotonic() - self._started):>7}  {line}", flush=True)


@dataclass
class Pace:
    """The pace of a step's present phase."""

    began: float = field(default_factory=time.monotonic)
    spoke: float = field(default_factory=time.monotonic)
    phase: str = ""
    first: tuple[float, int] = (0.0, 0)
    """When the phase was first reported, and how much was done by then."""
    latest: Progress | None = None

    def reach(self, progress: Progress) -> None:
        if progress.phase != self.phase:
            self.phase, self.first = progress.phase, (time.monotonic(), progress.done)
        self.latest = progress

    def silence(self) -> float:
        return time.monotonic() - self.spoke

    def left(self) -> str:
        """Return the time left, such as `, 1:20 left`; empty before the pace is known."""
        began, done = self.first
        if self.latest is None or self.latest.done <= done:
            return ""
        seconds = (time.monotonic() - began) / (self.latest.done - done) * (self.latest.total - self.latest.done)
        return f", {clock(seconds)} left"


@dataclass
class Row:
    """A bar: one phase of one step."""

    task: TaskID
    began: float
    """When the step began."""
    phase: str = ""


class Live:
    """A display with a bar for the sweep and one for each running step; finished steps stay as lines above them."""

    def __init__(self, bars: Bars, name: str, total: int) -> None:
        self._bars = bars
        self._sweep = bars.add_task(name, total=total, figures="steps of the sweep")
        self._rows: dict[str, Row] = {}

    def found(self, label: str, manifest: Manifest) -> None:
        self._finish(label, "found in the store")

    def began(self, label: str) -> None:
        self._rows[label] = Row(self._bars.add_task(label, total=None, figures=""), time.monotonic())

    def progressed(self, label: str, progress: Progress) -> None:
        row, total = self._rows[label], progress.total or None
        if row.phase != progress.phase:  # a bar cannot reset its total or its speed
            self._bars.remove_task(row.task)
            row.task, row.phase = self._bars.add_task(label, total=total, figures=""), progress.phase
        words = ", ".join(_numbers(progress)) or progress.phase
        self._bars.update(row.task, completed=progress.done, total=total, figures=words)

    def alarmed(self, label: str, sentence: str) -> None:
        self._print(f"{label}: {sentence}")

    def said(self, label: str, line: str) -> None:
        pass

    def ended(self, label: str, manifest: Manifest) -> None:
        row = self._rows.pop(label)
        self._bars.remove_task(row.task)
        self._finish(label, f"done in {clock(time.monotonic() - row.began)}")

    def failed(self, label: str, error: EffreasonError) -> None:
        if label in self._rows:  # it may have failed before its turn
            self._bars.remove_task(self._rows.pop(label).task)
        self._print(f"{label}: {failure_of(error)}")

    def _finish(self, label: str, words: str) -> None:
        self._bars.advance(self._sweep)
        self._print(f"{label}: {words}")

    def _print(self, line: str) -> None:
        self._bars.console.print(line, highlight=False, markup=False)


def clock(seconds: float) -> str:
    """Return a duration as minutes and seconds, with hours if there are any."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _numbers(progress: Progress) -> list[str]:
    return [f"{name} {value:.3g}" for name, value in progress.figures.items()]


def _bars(console: Console) -> Bars:
    return Bars(
        TextColumn("{task.description}", table_column=Column(no_wrap=True)),
        BarColumn(bar_width=10),
        MofNCompleteColumn(table_column=Column(no_wrap=True)),
        TimeRemainingColumn(compact=True, table_column=Column(no_wrap=True)),
        TextColumn("{task.fields[figures]}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
        console=console,
        expand=True,
        transient=True,
    )
