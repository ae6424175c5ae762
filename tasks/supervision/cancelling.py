"""A flow run that is cancelled in the Prefect UI is told so, whoever started it.

Only runs of a deployment have a worker that ends them. For the others Prefect records the wish and nothing happens, so
the state of every run is watched from within.
"""

import contextvars
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

import httpx
from prefect import get_client
from prefect.exceptions import ObjectNotFound

POLL_SECONDS = 2.0


@contextmanager
def watching(flow_run: UUID, cancelled: Callable[[], None]) -> Iterator[None]:
    """While the block runs, call `cancelled` once, from another thread, if the flow run is to be cancelled."""
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
                state = client.read_flow_run(flow_run).state
            except (httpx.HTTPError, ObjectNotFound):
                continue  # a server that is away for a moment is no reason to end a sweep
            if state is not None and (state.is_cancelling() or state.is_cancelled()):
                cancelled()
                return
