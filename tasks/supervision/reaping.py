"""The removal of orphaned containers: `python -m tasks.supervision.reaping [--every SECONDS]`.

A step's own launcher removes its container, and a container whose launcher dies ends by itself. What is left then, or
was left while Docker was down, is found by the labels that `tasks.running.container` writes: by the hooks of a flow
that failed, crashed or was cancelled, which Prefect may run in another process; and by a janitor, when a worker or a
flow begins and at regular intervals.
"""

import argparse
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
from prefect import Flow, State, get_client, get_run_logger
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL, temporary_settings

from effreason.choices import Container
from effreason.errors import EffreasonError, StepFailure
from effreason.experiment import Experiment
from tasks.local import server
from tasks.running import engine
from tasks.running.engine import EngineFailure
from tasks.supervision.owner import Owner

JANITOR_SECONDS = 60.0
LEFT_AFTER = timedelta(minutes=10)
"""The time since the end of a container after which it is an orphan: a live launcher removes it within seconds."""
ENDED = frozenset({"created", "dead", "exited"})

Purposeless = Callable[[engine.Container], bool]


def reap(purposeless: Purposeless) -> list[str]:
    """Remove the containers of steps for which `purposeless` is true; return their names for people.

    Raises:
        UserError: Docker does not respond.
        StepFailure: Docker fails meanwhile.
    """
    reaped = []
    try:
        with engine.engine() as client:
            for container in filter(purposeless, engine.containers(client)):
                engine.remove(container)
                reaped.append(f"{container.labels[engine.STEP_LABEL]} ({container.short_id})")
    except EngineFailure as error:
        raise StepFailure(f"Docker failed ({error}).", "Check that Docker is running, and run again.") from error
    return reaped


def is_over(flow_run: str) -> bool | None:
    """Return whether a flow run is over; None if that is unknown.

    It is unknown if there is no run, if the server is away, or if it does not know the run.
    """
    if not flow_run:
        return None
    try:
        with get_client(sync_client=True) as client:
            state = client.read_flow_run(UUID(flow_run)).state
    except (httpx.HTTPError, ObjectNotFound):
        return None
    return state is not None and state.is_final()


def is_orphan(container: engine.Container, over: Callable[[str], bool | None] = is_over) -> bool:
    """Return whether the owner of a container is dead or its flow run over.

    If the run is unknown, return whether the container ended long ago: so a container is removed in the end even if its
    launcher was in a container that is gone, and its run in a database that is gone.
    """
    if Owner.of(container.labels).is_dead():
        return True
    known = over(container.labels[engine.RUN_LABEL])
    return _ended_long_ago(container) if known is None else known


def _ended_long_ago(container: engine.Container) -> bool:
    state = container.attrs["State"]
    if state["Status"] not in ENDED:
        return False
    # A container that was never started has an end in the year 1.
    last = max(map(datetime.fromisoformat, (container.attrs["Created"], state["FinishedAt"])))
    return datetime.now(UTC) - last > LEFT_AFTER


def reap_run(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Remove what is left of the run. A hook of flows."""
    try:
        reaped = reap(lambda container: container.labels[engine.RUN_LABEL] == str(flow_run.id))
    except EffreasonError:
        return  # without Docker there are no containers; if it failed, a janitor removes them later
    if reaped:
        get_run_logger().warning("Removed what was left of the run: %s", ", ".join(reaped))


@contextmanager
def janitor(experiment: Experiment) -> Iterator[None]:
    """Remove orphans at once, and every `JANITOR_SECONDS` while the block runs, if steps run in containers."""
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
    """Remove orphans if Docker responds, and report them on standard error."""
    _tell(_reaped_if_possible(is_orphan))


def keep_house_unasked() -> None:
    """As `keep_house`, on a machine that knows of no Prefect server: by owners that are dead, and by age."""
    _tell(_reaped_if_possible(_is_orphan_unasked))


def _is_orphan_unasked(container: engine.Container) -> bool:
    return is_orphan(container, over=lambda run: None)


def _reaped_if_possible(purposeless: Purposeless) -> list[str]:
    try:
        return reap(purposeless)
    except EffreasonError:
        return []  # the steps themselves report that Docker does not respond


def _tell(reaped: list[str]) -> None:
    for container in reaped:
        print(f"Removed an orphan: {container}", file=sys.stderr, flush=True)


@contextmanager
def _judge() -> Iterator[Purposeless]:
    """Yield the test for orphans, which asks the Prefect server of the runs from this folder, if that answers.

    No server is started for this: a new one would know no run.
    """
    local = server.running()
    api = os.environ.get("PREFECT_API_URL") or (local.api if local else None)
    if api and server.answers(api):
        with temporary_settings({PREFECT_API_URL: api}):
            yield is_orphan
    else:
        print("No Prefect server answers, so it is unknown which runs are over.", file=sys.stderr, flush=True)
        yield _is_orphan_unasked


def main() -> int:
    """Run the command and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tasks.supervision.reaping",
        description="Remove containers of steps whose launcher or whose run is gone.",
    )
    parser.add_argument("--every", type=float, metavar="SECONDS", help="repeat at this interval until Ctrl-C")
    every = parser.parse_args().every
    try:
        with _judge() as purposeless:
            _tell(reap(purposeless))
        while every is not None:
            time.sleep(every)
            with _judge() as purposeless:
                _tell(_reaped_if_possible(purposeless))
    except EffreasonError as error:
        print(f"reaping: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
