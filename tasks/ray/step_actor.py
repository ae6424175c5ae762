"""An actor on a node of the cluster: it runs one step there, and is asked for what the step has said.

A node may be lost at any moment, and with it the actor. The cluster then makes the actor anew on another node and asks
it the same question again, so every question carries the whole work: an actor that has not begun begins. What has been
said is forgotten when the next question shows that it was heard; an answer that got lost is given again. When a step is
over the actor may get the next one: its devices were used by the step's own process alone, which has ended.
"""

import secrets
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from effreason.choices import Container, FolderHome, Home
from effreason.choices import Launcher as Choice
from effreason.errors import EffreasonError, UserError
from tasks.running.launchers import Launcher, ProcessLauncher, Work
from tasks.running.process import GRACE_SECONDS, Line
from tasks.running.turns import Share

SILENCE_SECONDS = 0.5
"""After which a question is answered, whether there is something to tell or not."""


@dataclass(frozen=True)
class Mark:
    """How far an actor has been heard. Made by whoever asks for a step, then by the actor."""

    turn: str
    """Another one for each step."""
    incarnation: str = ""
    """Another one after the actor was made anew."""
    lines: int = 0


@dataclass(frozen=True)
class Placed:
    """Where an actor is, and what it has there. Made by `StepActor`; read by `tasks.ray.cluster` and `.placement`."""

    node: str
    """Its address."""
    number: str
    """Of the node, by Ray: a machine that joins the cluster again has another one."""
    devices: tuple[str, ...]


@dataclass(frozen=True)
class Heard:
    """What a step has said since it was last asked. Made by `StepActor`; read by `tasks.ray.placement`."""

    placed: Placed
    lines: tuple[Line, ...]
    mark: Mark
    over: bool
    failure: EffreasonError | None
    """Once it is over: why it ended, for a step that has not said so itself."""


class StepActor:
    """Runs one step after another on one node."""

    def __init__(self, placed: Placed, choice: Choice, arguments: Sequence[str], gpus: float) -> None:
        """`arguments` are those that follow the interpreter where the step is a process."""
        self._placed = placed
        self._launcher = _launcher(choice, arguments)
        self._share = Share(placed.devices, {"CUDA_VISIBLE_DEVICES": ",".join(placed.devices)}, (), gpus)
        self._incarnation = secrets.token_hex(8)
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self._unheard: list[Line] = []
        self._forgotten = 0
        self._turn = ""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="step")
        self._end: Future[EffreasonError] | None = None

    def placed(self) -> Placed:
        return self._placed

    def heard(self, work: Work, mark: Mark) -> Heard:
        """Begin the step if that has not been done, and tell what it has said after `mark`.

        The step before it has to be over.

        Raises:
            UserError: it cannot be started here, however often it is tried.
            StepFailure: it could not be started, or has taken too long.
        """
        with self._changed:
            if self._end is None or mark.turn != self._turn:
                self._end = self._begun(work, mark.turn)
            if mark.incarnation == self._incarnation:
                del self._unheard[: mark.lines - self._forgotten]
                self._forgotten = mark.lines
            self._changed.wait_for(self._end.done, SILENCE_SECONDS)
            over = self._end.done()
            failure = self._end.result() if over else None
            said = Mark(self._turn, self._incarnation, self._forgotten + len(self._unheard))
            return Heard(self._placed, tuple(self._unheard), said, over, failure)

    def leave(self) -> None:
        """End the step; when this returns nothing of it runs, unless it has resisted for longer than its grace."""
        self._stopping.set()
        with self._changed:
            if self._end is not None:
                self._changed.wait_for(self._end.done, GRACE_SECONDS + 1)

    def _begun(self, work: Work, turn: str) -> Future[EffreasonError]:
        self._turn, self._unheard, self._forgotten = turn, [], 0
        end = self._thread.submit(self._run, _beginning_here(work))
        end.add_done_callback(self._tell_end)
        return end

    def _run(self, work: Work) -> EffreasonError:
        _refuse_a_folder_of_another_machine(work.order.store, self._placed.node)
        with self._launcher.started(work, self._share) as running:
            for line in running.lines(self._stopping):
                with self._changed:
                    self._unheard.append(line)
            return running.failure()

    def _tell_end(self, _: Future[EffreasonError]) -> None:
        with self._changed:
            self._changed.notify_all()


def _beginning_here(work: Work) -> Work:
    """An actor that was made anew has not had its devices before, however long the step has been under way."""
    order = work.order
    if order.runtime.turn is None:
        return work
    turn = order.runtime.turn.model_copy(update={"began": datetime.now(UTC)})
    runtime = order.runtime.model_copy(update={"turn": turn})
    return replace(work, order=order.model_copy(update={"runtime": runtime}))


def _launcher(choice: Choice, arguments: Sequence[str]) -> Launcher:
    if isinstance(choice, Container):
        from tasks.running.container import ContainerLauncher  # brings Docker, of which other actors know nothing

        return ContainerLauncher(choice)
    return ProcessLauncher((sys.executable, *arguments))


def _refuse_a_folder_of_another_machine(store: Home, node: str) -> None:
    if isinstance(store, FolderHome) and not Path(store.path).is_dir():
        raise UserError(
            f"The store {store.path} does not exist on {node}, a node of the Ray cluster.",
            "Keep artifacts in S3, or in a folder shared by all nodes.",
        )
