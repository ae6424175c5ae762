"""The flow of the deployment full-sweep, as the chaos run has it: each step's progress is written down, and the cells
with a penalty train in containers where the others are processes.

Environment: CHAOS_TRACE names the file that gets a JSON line for every step of a training.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from effreason.choices import Container
from effreason.experiment import Experiment
from effreason.progress import Progress
from effreason.specs import TrainSpec
from flows.full_sweep import full_sweep
from tasks.running import launching
from tasks.running.container import ContainerLauncher
from tasks.running.launchers import ProcessLauncher, Running, Work
from tasks.running.turns import Share

__all__ = ["full_sweep"]


class Mixed:
    """A launcher of both kinds."""

    def __init__(self, _: Experiment) -> None:
        self._containers = ContainerLauncher(Container())
        self._processes = ProcessLauncher(launching.STEP)

    @contextmanager
    def started(self, work: Work, share: Share) -> Iterator[Running]:
        contained = isinstance(work.order.spec, TrainSpec) and work.order.spec.alpha > 0
        launcher = self._containers if contained else self._processes
        with launcher.started(work, share) as running:
            yield running

    def occupied(self, device: str) -> int:
        return 0


def traced(runner: launching.StepRunner, label: str, progress: Progress) -> None:
    if progress.phase == "train":
        line = {"time": time.time(), "label": label, "step": progress.done, "process": os.getpid()}
        with open(os.environ["CHAOS_TRACE"], "a") as trace:
            trace.write(json.dumps(line) + "\n")
    tell(runner, label, progress)


tell = launching.StepRunner._tell
launching.StepRunner._tell = traced
launching.launcher_of = Mixed
