"""The interface between the pipeline and whatever runs a step: a child process or a container.

with launcher.started(work, share) as running:
    for line in running.lines(stopping): ...
running.failure()                                  why it ended without manifest and fault
"""

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from threading import Event
from typing import Protocol

from effreason.errors import EffreasonError, StepFailure
from effreason.order import Order
from tasks.running.process import Line, child, code_of, lines
from tasks.running.process import Process as Child
from tasks.running.scratch import scratch
from tasks.running.turns import Share


@dataclass(frozen=True)
class Work:
    """One step to be run. Made by `tasks.running.launching`; read by the launchers."""

    label: str
    """The name of the step for people."""
    order: Order
    experiment: str
    flow_run: str


class Running(Protocol):
    """A step that has been started."""

    def lines(self, stopping: Event) -> Iterator[Line]:
        """Yield every line of the step's output until it has ended.

        Raises:
            Stopped: soon after `stopping` was set.
            StepFailure: the step has taken too long.
        """

    def failure(self) -> EffreasonError:
        """Return why the step ended, if it did not say so itself."""


class Launcher(Protocol):
    """An object that runs steps."""

    def started(self, work: Work, share: Share) -> AbstractContextManager[Running]:
        """Start a step; once the block is left, in whatever way, nothing of it runs any more.

        Raises:
            UserError: the step cannot be started here, and trying again is of no use.
            StepFailure: the step could not be started.
        """

    def occupied(self, device: str) -> int:
        """Return how many steps without a lease of their own run on this GPU, including those of flows that are gone.

        Raises:
            EffreasonError: the number is not known at the moment.
        """


class ProcessLauncher:
    """A launcher that runs steps as child processes."""

    def __init__(self, command: Sequence[str]) -> None:
        """Launch steps with `command`, followed by the name of the step and the path of its order."""
        self._command = command

    @contextmanager
    def started(self, work: Work, share: Share) -> Iterator[Running]:
        with scratch() as own:
            path = own.folder / "order.json"
            path.write_text(work.order.model_dump_json())
            command = [*self._command, work.order.spec.step, str(path)]
            environment = {**os.environ, **share.environment, "TMPDIR": str(own.folder)}
            with child(command, environment, (*share.descriptors, own.lock)) as process:
                yield RunningProcess(work.label, process)

    def occupied(self, device: str) -> int:
        """Return 0, since a child process holds the lease of its GPU itself."""
        return 0


@dataclass(frozen=True)
class RunningProcess:
    """A step that runs as a child process. Made by `ProcessLauncher`."""

    label: str
    process: Child

    def lines(self, stopping: Event) -> Iterator[Line]:
        return lines(self.process, stopping)

    def failure(self) -> StepFailure:
        return ended_by(self.label, code_of(self.process))


def ended_by(label: str, code: int) -> StepFailure:
    """Return the error of a step that ended without manifest and fault.

    `code` is its exit code; a signal N is given as -N, as for processes, or as 128 + N, as in shells.
    """
    number = -code if code < 0 else code - 128
    if number == signal.SIGKILL:
        return StepFailure(
            f"{label} was killed from outside, as happens when memory runs out.",
            "Free memory, or lower `parallel` or `tokens_per_microbatch`, and run again.",
        )
    if number > 0 and number in {known.value for known in signal.Signals}:
        return StepFailure(f"{label} was ended by {signal.Signals(number).name}.", "Run the experiment again.")
    return StepFailure(
        f"{label} ended with exit code {code} and no result.",
        "See its log in the Prefect UI, under its task.",
    )
