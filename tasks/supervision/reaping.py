"""Containers whose purpose is gone are removed: `python -m tasks.supervision.reaping [--every SECONDS]`.

A step's own launcher removes its container, and a container whose launcher dies ends by itself. What is left then, and
what an engine that was away has kept, is found here by the labels that `tasks.running.container` writes: by the hooks
of a flow that failed, crashed or was cancelled, which Prefect may run in another process; and by a janitor, when a
worker or a flow begins and every so often.
"""

import argparse
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any
from uuid import UUID

import httpx
from prefect import Flow, State, get_client, get_run_logger
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound

from effreason.choices import Container
from effreason.errors import EffreasonError, UserError
from effreason.experiment import Experiment
from tasks.running import engine
from tasks.running.engine import EngineFailure
from tasks.supervision.owner import Owner

JANITOR_SECONDS = 60.0

Purposeless = Callable[[engine.Container], bool]


def reap(purposeless: Purposeless) -> list[str]:
    """Remove the containers of steps of which `purposeless` is true; return what they were, for people.

    Raises:
        UserError: no engine answers.
    """
    reaped = []
    with engine.engine() as client:
        for container in filter(purposeless, engine.containers(client)):
            engine.remove(container)
            reaped.append(f"{container.labels[engine.STEP_LABEL]} ({container.short_id})")
    return reaped


def is_orphan(container: engine.Container) -> bool:
    """Whether its owner is dead or its flow run is over; of what cannot be known, false."""
    return Owner.of(container.labels).is_dead() or _is_over(container.labels[engine.RUN_LABEL])


def _is_over(flow_run: str) -> bool:
    if not flow_run:
        return False
    try:
        with get_client(sync_client=True) as client:
            state = client.read_flow_run(UUID(flow_run)).state
    except (httpx.HTTPError, ObjectNotFound):
        return False  # a server that is away, or one that does not know the run
    return state is not None and state.is_final()


def reap_run(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """A hook of flows: remove what is left of the run."""
    try:
        reaped = reap(lambda container: container.labels[engine.RUN_LABEL] == str(flow_run.id))
    except UserError:
        return  # where no engine answers there is no container
    if reaped:
        get_run_logger().warning("Removed what was left of the run: %s", ", ".join(reaped))


@contextmanager
def janitor(experiment: Experiment) -> Iterator[None]:
    """While the block runs, remove orphans at once and every `JANITOR_SECONDS`, where steps run in containers."""
    if not isinstance(experiment.runtime.launcher, Container):
        yield
        return
    over = threading.Event()
    context = copy_context()  # Prefect's settings are in it
    threading.Thread(target=context.run, args=(_keep_on, over), name="janitor", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _keep_on(over: threading.Event) -> None:
    while True:
        keep_house()
        if over.wait(JANITOR_SECONDS):
            return


def keep_house() -> None:
    """Remove orphans, if an engine answers, and say so on standard error."""
    _tell(_reaped_if_possible())


def _reaped_if_possible() -> list[str]:
    try:
        return reap(is_orphan)
    except (UserError, *EngineFailure):
        return []  # the steps themselves tell that no engine answers


def _tell(reaped: list[str]) -> None:
    for container in reaped:
        print(f"Removed an orphan: {container}", file=sys.stderr, flush=True)


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tasks.supervision.reaping",
        description="Remove containers of steps whose launcher or whose run is gone.",
    )
    parser.add_argument("--every", type=float, metavar="SECONDS", help="again and again, until Ctrl-C")
    every = parser.parse_args().every
    try:
        _tell(reap(is_orphan))
        while every is not None:
            time.sleep(every)
            keep_house()
    except EffreasonError as error:
        print(f"reaping: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
