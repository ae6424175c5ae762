"""An actor on a node of the cluster: it runs one step there, and is polled for the output of the step.

A node may be lost at any moment, and with it the actor. The cluster then restarts the actor on another node and repeats
the pending call, so every call carries the whole work: an actor that has not started the step starts it. Output is
dropped when the next call shows that it has arrived; an answer that got lost is given again. When a step is over, the
actor may get the next one: only the step's own process used its devices, and that has ended.
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
"""The time after which a call is answered, even if there is no output."""


@dataclass(frozen=True)
class Mark:
    """How much output of an actor has arrived. Made first by the caller, then by the actor."""

    turn: str
    """A token that differs for each step."""
    incarnation: str = ""
    """A token that changes when the actor is restarted."""
    lines: int = 0


@dataclass(frozen=True)
class Placed:
    """The node of an actor and its devices. Made by `StepActor`; read by `tasks.ray.cluster` and `.placement`."""

    node: str
    """Address of the node."""
    number: str
    """Ray's ID of the node; a machine that joins the cluster again gets another one."""
    devices: tuple[str, ...]


@dataclass(frozen=True)
class Heard:
    """The output of a step since the last call. Made by `StepActor`; read by `tasks.ray.placement`."""

    placed: Placed
    lines: tuple[Line, ...]
    mark: Mark
    over: bool
    failure: EffreasonError | None
    """Why the step ended, in case it has not said so itself; None until it is over."""


class StepActor:
    """An actor that runs one step after another on one node."""

    def __init__(self, placed: Placed, choice: Choice, arguments: Sequence[str], gpus: float) -> None:
        """Prepare the actor; `arguments` follow the interpreter if steps run as processes."""
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
        """Start the step if that has not been done, and return its output after `mark`.

        The previous step has to be over.

        Raises:
            UserError: the step cannot be started here, and trying again is of no use.
            StepFailure: the step could not be started, or has taken too long.
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
        """End the step; when this returns, nothing of it runs, unless it has outlasted its grace period."""
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
    """Return the work with its turn beginning now: a restarted actor has had its devices only since its restart."""
    order = work.order
    if order.runtime.turn is None:
        return work
    turn = order.runtime.turn.model_copy(update={"began": datetime.now(UTC)})
    runtime = order.runtime.model_copy(update={"turn": turn})
    return replace(work, order=order.model_copy(update={"runtime": runtime}))


def _launcher(choice: Choice, arguments: Sequence[str]) -> Launcher:
    if isinstance(choice, Container):
        from tasks.running.container import ContainerLauncher  # imports Docker, which other actors may not have
        from tasks.supervision.reaping import keep_house_unasked

        keep_house_unasked()  # removes what a killed actor left here; the flow's own janitor sees only its own host
        return ContainerLauncher(choice)
    return ProcessLauncher((sys.executable, *arguments))


def _refuse_a_folder_of_another_machine(store: Home, node: str) -> None:
    if isinstance(store, FolderHome) and not Path(store.path).is_dir():
        raise UserError(
            f"The store {store.path} does not exist on {node}, a node of the Ray cluster.",
            "Keep artifacts in S3, or in a folder shared by all nodes.",
        )
