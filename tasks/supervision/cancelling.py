"""Watches the state of a flow run, to end it when it is cancelled in the UI and to object when it is marked as dead.

Only runs of a deployment have a worker that ends them. For other runs Prefect records the request and nothing happens,
so every run watches its own state.

The server marks a run as dead if it has not heard from it for long (`infra.zombies`), even if the server itself or the
network was down. Only the process of the run knows better; it sets the run back to Running before another host resumes
it, and the other host leaves it time for that (`infra.resuming`). A run that has been resumed belongs to the other
process.
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

    Meanwhile, if a run of this process is marked Crashed, set it back to Running.
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
                if not over.is_set():  # otherwise the run may itself have reported that it crashed
                    _contest(client, run)
            except (httpx.HTTPError, ObjectNotFound):
                continue  # a short outage of the server is no reason to end a sweep
            if run.state is not None and (run.state.is_cancelling() or run.state.is_cancelled()):
                cancelled()
                return


def _contest(client: SyncPrefectClient, run: FlowRun) -> None:
    """Set the run back to Running if it is marked Crashed and still belongs to this process."""
    if run.state is not None and run.state.is_crashed() and Owner.this_process().has(run.labels):
        # Not forced: the server refuses the change if the run has been scheduled again meanwhile.
        client.set_flow_run_state(run.id, Running(message="It was marked as dead, but its process is alive."))
