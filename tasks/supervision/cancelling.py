"""A flow run that is cancelled in the Prefect UI is told so, whoever started it; one that is taken for dead says no.

Only runs of a deployment have a worker that ends them. For the others Prefect records the wish and nothing happens, so
the state of every run is watched from within.

The server takes a run for dead of which it has heard nothing for long (`infra.zombies`), also where itself or the
network was away. Whoever works for the run alone knows better, and sets it back to Running before another host takes it
up, which leaves the time for that (`infra.resuming`). A run that has been taken up is the other process's.
"""

import contextvars
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

import httpx
from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound
from prefect.states import Running

from tasks.supervision.owner import Owner

POLL_SECONDS = 2.0


@contextmanager
def watching(flow_run: UUID, cancelled: Callable[[], None]) -> Iterator[None]:
    """While the block runs, call `cancelled` once, from another thread, if the flow run is to be cancelled.

    Meanwhile a run of this process that is called Crashed is set back to Running.
    """
    over = threading.Event()
    context = contextvars.copy_context()  # Prefect's settings are in it
    watcher = threading.Thread(
        target=context.run, args=(_watch, flow_run, cancelled, over), name="cancelling", daemon=True
    )
    watcher.start()
    try:
        yield
    finally:
        over.set()


def _watch(flow_run: UUID, cancelled: Callable[[], None], over: threading.Event) -> None:
    with get_client(sync_client=True) as client:
        while not over.wait(POLL_SECONDS):
            try:
                run = client.read_flow_run(flow_run)
                if not over.is_set():  # else it may have said itself that it crashed
                    _contest(client, run)
            except (httpx.HTTPError, ObjectNotFound):
                continue  # a server that is away for a moment is no reason to end a sweep
            if run.state is not None and (run.state.is_cancelling() or run.state.is_cancelled()):
                cancelled()
                return


def _contest(client: SyncPrefectClient, run: FlowRun) -> None:
    """Say that the run lives, if it is called dead and is still this process's."""
    if run.state is not None and run.state.is_crashed() and Owner.this_process().has(run.labels):
        # Not forced: the server itself refuses it of a run that somebody has scheduled meanwhile.
        client.set_flow_run_state(run.id, Running(message="It was marked as dead, but its process is alive."))
