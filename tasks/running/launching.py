"""Gets an artifact from the store, or has it made by a step in a process or a container.

    python -m effreason step --until-stdin-closes STEP ORDER.json

The order is the whole input of the step; its standard output is the protocol of `effreason.progress`. Other lines on
standard output, from libraries that print, are treated as log lines.
"""

import sys
from collections import deque
from collections.abc import Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

from prefect import State, Task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import TaskRun
from prefect.runtime import flow_run

from effreason.artifacts import Artifact, Manifest
from effreason.choices import Container, Ray
from effreason.errors import EffreasonError, StepFailure, UserError
from effreason.experiment import Experiment
from effreason.extras import require
from effreason.order import Order
from effreason.progress import Fault, Progress, parsed
from effreason.specs import Spec
from effreason.store import open_store
from effreason.workbench import Turn
from tasks.running.container import ContainerLauncher
from tasks.running.launchers import Launcher, ProcessLauncher, Running, Work
from tasks.running.process import Stopped
from tasks.running.spending import SweepSpending
from tasks.running.turns import Turns

if TYPE_CHECKING:
    from tasks.ray.placement import ClusterTurns

STEP = (sys.executable, "-m", "effreason", "step", "--until-stdin-closes")
"""The command to which the step's name and the path of its order are added."""
REMEMBERED_LINES = 20
RETRY_SECONDS = 2.0

Made = TypeVar("Made", bound=Artifact)


class Listener(Protocol):
    """An object that is told what becomes of a step, in the thread that launched the step."""

    def found(self, label: str, manifest: Manifest) -> None:
        """Called when the artifact was already in the store."""

    def began(self, label: str) -> None: ...

    def progressed(self, label: str, progress: Progress) -> None: ...

    def alarmed(self, label: str, sentence: str) -> None:
        """Called when the step continues but somebody should look at it."""

    def said(self, label: str, line: str) -> None:
        """Called with each line of the step's log."""

    def ended(self, label: str, manifest: Manifest) -> None:
        """Called when the step has put its artifact in the store."""

    def failed(self, label: str, error: EffreasonError) -> None:
        """Called when the step has failed; it may be tried again."""


def launch(experiment: Experiment, label: str, spec: Spec, makes: type[Made]) -> Made:
    """Return the artifact that `spec` describes, from the store or made by a step; `label` names the step to people.

    Raises:
        UserError: the step refused its input; trying again is of no use.
        StepFailure: the step failed, was killed or was stopped.
    """
    runner = RUNNER.get() or StepRunner(experiment)
    runner.spending.sweep = experiment
    artifact = runner.artifact(label, spec)
    assert isinstance(artifact, makes)  # noqa: S101  each kind of spec makes one kind of artifact
    return artifact


class StepRunner:
    """The runner of the steps of one flow run: it launches each in its turn, and ends them when the run ends."""

    def __init__(
        self, experiment: Experiment, listeners: Sequence[Listener] = (), spending: SweepSpending | None = None
    ) -> None:
        """`spending` is what a listener shows, where one does."""
        self.experiment = experiment
        self.flow_run = flow_run.id or ""
        self.store = open_store(experiment.store)
        self.launcher = launcher_of(experiment)
        self.spending = spending or SweepSpending(experiment, self.store)
        self.turns = turns_of(experiment, self.flow_run, self.launcher)
        self.listeners = listeners
        self.faults: dict[str, EffreasonError] = {}
        """The latest error of every step that has not succeeded since, by label."""

    def __enter__(self) -> Self:
        self._token = RUNNER.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        """End every step that still runs; when this returns, none is left."""
        RUNNER.reset(self._token)
        self.stop()
        self.turns.wait_until_idle()

    def stop(self) -> None:
        """Ask every running step to end, and start no other. May be called from any thread; does not wait."""
        self.turns.stop()

    def artifact(self, label: str, spec: Spec) -> Artifact:
        """Return the artifact that `spec` describes, like `launch` but without checking its type."""
        try:
            made = self._found(label, spec) or self._made(label, spec)
        except EffreasonError as error:
            self._failed(label, error)
            raise
        except Exception as error:  # unforeseen, such as a full disk: it is reported and tried again, too
            failure = StepFailure(
                f"{label} failed with {type(error).__name__}: {error}.",
                "See the traceback in the log of this step; run the experiment again to retry.",
            )
            self._failed(label, failure)
            raise failure from error
        self.faults.pop(label, None)
        return made

    def _failed(self, label: str, error: EffreasonError) -> None:
        if not isinstance(error, Stopped):
            self.faults[label] = error
        for listener in self.listeners:
            listener.failed(label, error)

    def _found(self, label: str, spec: Spec) -> Artifact | None:
        manifest = self.store.find(spec.address)
        if manifest is None:
            return None
        self.spending.sealed(label, manifest)
        for listener in self.listeners:
            listener.found(label, manifest)
        return manifest.artifact

    def _made(self, label: str, spec: Spec) -> Artifact:
        def alarm(sentence: str) -> None:
            self._alarm(label, sentence)

        with (
            self.turns.take(label, spec, alarm) as share,
            self.spending.turn(spec, share.gpus, self.turns.runtime, alarm),
        ):
            for listener in self.listeners:
                listener.began(label)
            runtime = self.turns.runtime.model_copy(update={"turn": Turn(gpus=share.gpus)})
            order = Order(spec=spec, store=self.experiment.store, runtime=runtime)
            work = Work(label, order, self.experiment.name, self.flow_run)
            with self.launcher.started(work, share) as running:
                manifest = self._result(label, running)
            self.spending.sealed(label, manifest)
            for listener in self.listeners:
                listener.ended(label, manifest)
        return manifest.artifact

    def _result(self, label: str, running: Running) -> Manifest:
        said: deque[str] = deque(maxlen=REMEMBERED_LINES)
        answer: Manifest | Fault | None = None
        for line in running.lines(self.turns.stopping):
            message = None if line.logged else parsed(line.text)
            if message is None:
                said.append(line.text)
                for listener in self.listeners:
                    listener.said(label, line.text)
            elif message.progress is not None:
                self._tell(label, message.progress)
            else:
                answer = message.manifest or message.fault
        match answer:
            case Manifest():
                return answer
            case Fault():
                raise (UserError if answer.kind == "user" else StepFailure)(answer.happened, answer.remedy)
        failure = running.failure()
        last = f" Its last output: {said[-1]}" if said else ""
        raise type(failure)(failure.happened + last, failure.remedy)

    def _tell(self, label: str, progress: Progress) -> None:
        for listener in self.listeners:
            listener.progressed(label, progress)
        if progress.alarm is not None:
            self._alarm(label, progress.alarm)

    def _alarm(self, label: str, sentence: str) -> None:
        for listener in self.listeners:
            listener.alarmed(label, sentence)


def launcher_of(experiment: Experiment) -> Launcher:
    """Return the launcher that the experiment asks for."""
    if isinstance(experiment.runtime.engine, Ray):
        require("ray", "ray", "Running steps on a Ray cluster")
        from tasks.ray.placement import ActorLauncher

        return ActorLauncher()
    choice = experiment.runtime.launcher
    return ContainerLauncher(choice) if isinstance(choice, Container) else ProcessLauncher(STEP)


def turns_of(experiment: Experiment, flow_run: str, launcher: Launcher) -> "Turns | ClusterTurns":
    """Return the turns on this machine, or on the cluster that the experiment names."""
    if isinstance(experiment.runtime.engine, Ray):
        from tasks.ray.placement import ClusterTurns

        return ClusterTurns(experiment.runtime, experiment.runtime.engine, STEP[1:])
    return Turns(experiment.runtime, experiment.name, flow_run, launcher.occupied)


RUNNER: ContextVar[StepRunner | None] = ContextVar("runner", default=None)
"""The runner of the flow run to which this thread belongs."""


def cost_part() -> str:
    """Return the cost of the steps of this flow run's sweep as Markdown; empty outside a flow run."""
    runner = RUNNER.get()
    return runner.spending.markdown() if runner else ""


def worth_another_try(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Return whether a failed task should be retried: not after an error of the user, and not when the run ends."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, StepFailure) and not isinstance(error, Stopped)


def end_the_others(task: Task[..., Any], run: TaskRun, state: State[Any]) -> None:
    """Stop the other steps, since without the failed one there will be no report; what they have done is kept."""
    runner = RUNNER.get()
    if runner is not None:
        runner.stop()


TASK_OPTIONS: dict[str, Any] = {
    "cache_policy": NO_CACHE,  # the store is the only cache
    "retry_delay_seconds": RETRY_SECONDS,
    "retry_condition_fn": worth_another_try,
    "on_failure": [end_the_others],
}
"""The options that the tasks of all steps share; the experiment sets the number of retries."""
