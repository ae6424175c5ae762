"""The state of every step of a run, from the events of a listener; `dashboard` writes it down for people."""

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
    """The state of a step, or of a cell, which consists of a training run and its evaluation."""

    WAITING = "waiting"
    RUNNING = "running"
    FOUND = "found"
    """The artifact is in the store from an earlier run."""
    DONE = "done"
    FAILED = "failed"
    """The step has failed and may be tried again."""
    STOPPED = "stopped"


@dataclass(frozen=True)
class Standing:
    """The status of a step. Made by `Board`; read by the dashboard and the forecast."""

    label: str
    state: State = State.WAITING
    began: float | None = None
    """When the step began, by the monotonic clock; None if it has not."""
    phase_began: float = 0.0
    """When its present phase was first reported, by the same clock."""
    phase_first: int = 0
    """How much of the phase was done by then: more than 0 if a training run continues from a checkpoint."""
    progress: Progress | None = None
    """The latest progress, with the latest figures."""
    manifest: Manifest | None = None
    """The manifest of its artifact, once that is in the store: what was made, from what, and how long it took."""
    trouble: str | None = None
    """The latest message on what went wrong or needs attention."""

    @property
    def kind(self) -> str:
        return kind_of(self.label)

    @property
    def subject(self) -> str:
        """The cell of the step, such as `reasoner alpha=0.2 s0`; the step itself if it concerns all cells."""
        return self.label.partition(" ")[2] or self.label

    @property
    def over(self) -> bool:
        return self.manifest is not None


class Board:
    """A `tasks.running.launching.Listener` that remembers the state of every step. May be read from any thread."""

    def __init__(self, labels: Iterable[str]) -> None:
        """Prepare for the steps of these `labels`, in the order in which they are shown."""
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
        if isinstance(error, Stopped):  # an earlier alarm stays: it may be the reason
            self._change(label, state=State.STOPPED)
        else:
            self._change(label, state=State.FAILED, trouble=str(error))

    def _change(self, label: str, **changes: Any) -> None:
        with self._lock:
            known = self._standings.get(label, Standing(label))
            self._standings[label] = replace(known, **changes)


def kind_of(label: str) -> str:
    """Return the kind of a step from its label, such as `train` from `train reasoner alpha=0.2 s0`."""
    return label.partition(" ")[0]


def _with_figures(progress: Progress, earlier: Mapping[str, float]) -> Progress:
    """Return the progress with the earlier figures if it has none, so that they stay visible in the next phase."""
    return progress if progress.figures else progress.model_copy(update={"figures": dict(earlier)})
