"""What is known of every step of a run, from what a listener is told; `dashboard` writes it down for people."""

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from effreason.artifacts import Manifest
from effreason.errors import EffreasonError
from effreason.progress import Progress
from tasks.running.process import Stopped


class State(StrEnum):
    """Of a step, or of a cell, which is its training and its measurement."""

    WAITING = "waiting"
    RUNNING = "running"
    FOUND = "found"
    """In the store, from an earlier run."""
    DONE = "done"
    FAILED = "failed"
    """Perhaps to be tried again."""
    STOPPED = "stopped"


@dataclass(frozen=True)
class Standing:
    """How a step stands. Made by `Board`; read by the dashboard and the forecast."""

    label: str
    state: State = State.WAITING
    began: float | None = None
    """By the monotonic clock, where it has begun."""
    phase_began: float = 0.0
    """When the phase that it is in was first heard of, by the same clock."""
    phase_first: int = 0
    """How much of the phase was done by then: not nothing where a training goes on from a checkpoint."""
    progress: Progress | None = None
    """The latest, with figures where any has come with some."""
    manifest: Manifest | None = None
    """Of its artifact, once that is in the store: what was made, from what, and how long it took."""
    trouble: str | None = None
    """The latest sentence on what went wrong, or is to be looked at."""

    @property
    def kind(self) -> str:
        return kind_of(self.label)

    @property
    def subject(self) -> str:
        """Whom it is about, such as `reasoner alpha=0.2 s0`; the step itself where it is about them all."""
        return self.label.partition(" ")[2] or self.label

    @property
    def over(self) -> bool:
        return self.manifest is not None


class Board:
    """A `tasks.running.launching.Listener` that remembers. To be read from any thread."""

    def __init__(self, labels: Iterable[str]) -> None:
        """`labels` are those of the steps that are to come, in the order in which they are shown."""
        self._standings = {label: Standing(label) for label in labels}
        self._lock = threading.Lock()

    def standings(self) -> tuple[Standing, ...]:
        with self._lock:
            return tuple(self._standings.values())

    def found(self, label: str, manifest: Manifest) -> None:
        self._change(label, state=State.FOUND, manifest=manifest)

    def began(self, label: str) -> None:
        self._change(label, state=State.RUNNING, began=time.monotonic(), progress=None, trouble=None)

    def progressed(self, label: str, progress: Progress) -> None:
        with self._lock:
            known = self._standings[label].progress
        changes: dict[str, Any] = {"progress": _with_figures(progress, known.figures if known else {})}
        if known is None or known.phase != progress.phase:
            changes |= {"phase_began": time.monotonic(), "phase_first": progress.done}
        self._change(label, **changes)

    def alarmed(self, label: str, sentence: str) -> None:
        self._change(label, trouble=sentence)

    def said(self, label: str, line: str) -> None:
        pass

    def ended(self, label: str, manifest: Manifest) -> None:
        self._change(label, state=State.DONE, manifest=manifest)

    def failed(self, label: str, error: EffreasonError) -> None:
        if isinstance(error, Stopped):  # whatever was to be looked at is so still: it may be why
            self._change(label, state=State.STOPPED)
        else:
            self._change(label, state=State.FAILED, trouble=str(error))

    def _change(self, label: str, **changes: Any) -> None:
        with self._lock:
            known = self._standings.get(label, Standing(label))
            self._standings[label] = replace(known, **changes)


def kind_of(label: str) -> str:
    """Such as `train`, of `train reasoner alpha=0.2 s0`."""
    return label.partition(" ")[0]


def _with_figures(progress: Progress, earlier: Mapping[str, float]) -> Progress:
    """The figures of a batch stay to be seen while the next phase, which has none, goes on."""
    return progress if progress.figures else progress.model_copy(update={"figures": dict(earlier)})
