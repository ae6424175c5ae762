"""The context of a run: whatever ends the flow ends its steps, be it a failure, Ctrl-C, SIGTERM or Cancel in the UI.

If this process dies, even by SIGKILL, the pipes of `tasks.running.process` and `tasks.running.container` end the steps,
and `tasks.supervision.reaping` removes what is left even then.
"""

import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Concatenate, NamedTuple, ParamSpec, TypeVar
from uuid import UUID

from prefect import State
from prefect.runtime import flow_run
from prefect.states import Cancelled

from effreason.experiment import Experiment
from effreason.store import open_store
from tasks.display.board import Board
from tasks.display.page import Page
from tasks.display.terminal import shown
from tasks.metrics.meter import metered
from tasks.running.launching import StepRunner
from tasks.running.spending import SweepSpending
from tasks.supervision.cancelling import watching
from tasks.supervision.deployed import settle_in
from tasks.supervision.reaping import janitor

P = ParamSpec("P")
R = TypeVar("R")
Sweep = Callable[Concatenate[Experiment, P], R]
Expected = Callable[Concatenate[Experiment, P], Sequence[str]]
"""A function of `tasks.expected` that returns the labels of a run's steps from the arguments of the run."""


def supervised(expected: Expected[P]) -> Callable[[Sweep[P, R]], Sweep[P, R | State[R]]]:
    """Give a sweep a runner that ends its steps before it returns, a display, and a watch for Cancel in the UI.

    The sweep returns a cancelled state if the run was cancelled; its error is that of the step that failed first, not
    one that followed from it.
    """

    def decorate(sweep: Sweep[P, R]) -> Sweep[P, R | State[R]]:
        @functools.wraps(sweep)
        def in_context(experiment: Experiment, /, *others: P.args, **named: P.kwargs) -> R | State[R]:
            with run_context(experiment, expected(experiment, *others, **named)) as context:
                try:
                    return sweep(experiment, *others, **named)
                except Exception as error:
                    if context.cancelled.is_set():
                        return Cancelled(message="Cancelled; what is done is kept.")
                    raise next(iter(context.runner.faults.values()), error) from None

        return in_context

    return decorate


class RunContext(NamedTuple):
    """The context in which a sweep runs."""

    runner: StepRunner
    cancelled: threading.Event
    """Set if the run was cancelled in the UI."""


@contextmanager
def run_context(experiment: Experiment, labels: Sequence[str]) -> Iterator[RunContext]:
    """Yield a context with a runner whose steps are displayed, and stopped when the run is cancelled."""
    settle_in()
    cancelled, board = threading.Event(), Board(labels)
    spending = SweepSpending(experiment, open_store(experiment.store))
    with (
        shown(experiment.name, len(labels)) as display,
        Page(experiment, board, spending) as page,
        metered() as meters,
        StepRunner(experiment, (display, board, page, *meters), spending) as runner,
    ):

        def cancel() -> None:
            cancelled.set()
            runner.stop()

        with janitor(experiment), watching(UUID(flow_run.id), cancel):
            yield RunContext(runner, cancelled)
