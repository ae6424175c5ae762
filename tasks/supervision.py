"""Whatever ends the flow ends its steps: a failure, Ctrl-C, SIGTERM, or the word Cancel in the UI.

The death of this process, even by SIGKILL, is left to the pipes of `tasks.process` and `tasks.container`, and what is
left behind even then to `tasks.reaping`.
"""

import functools
import threading
from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from prefect import State
from prefect.runtime import flow_run
from prefect.states import Cancelled

from effreason.experiment import Experiment
from tasks.cancelling import watching
from tasks.deployed import settle_in
from tasks.display import shown
from tasks.launching import Crew
from tasks.page import Page
from tasks.reaping import janitor

R = TypeVar("R")


def supervised(sweep: Callable[[Experiment], R]) -> Callable[[Experiment], R | State[R]]:
    """`sweep` with a crew for its steps that is gone when it returns, with a display, and with an ear for the UI.

    The result is a cancelled state if the run was cancelled; and the error is that of the step that failed first,
    rather than one that followed from it.
    """

    @functools.wraps(sweep)
    def attended(experiment: Experiment) -> R | State[R]:
        cancelled = threading.Event()
        settle_in()
        with shown(experiment) as display, Page(experiment.name) as page, Crew(experiment, (display, page)) as crew:

            def cancel() -> None:
                cancelled.set()
                crew.stop()

            with janitor(experiment), watching(UUID(flow_run.id), cancel):
                try:
                    return sweep(experiment)
                except Exception as error:
                    if cancelled.is_set():
                        return Cancelled(message="Cancelled; what is done is kept.")
                    raise next(iter(crew.faults.values()), error) from None

    return attended
