"""A run that a worker has begun says which process works for it, and outlives a restart of the Prefect server and the
death of the worker.
"""

import sys
from contextlib import suppress
from typing import TextIO
from uuid import UUID

from prefect import get_client
from prefect.client.base import PrefectHttpxAsyncClient, PrefectHttpxSyncClient
from prefect.runtime import deployment, flow_run

from tasks.supervision.owner import Owner


def settle_in() -> None:
    """To be called when a flow begins; does nothing for a run that a person has begun, who can begin it again."""
    if deployment.id is None:
        return
    ride_out_restarts()
    sys.stdout, sys.stderr = Unheard(sys.stdout), Unheard(sys.stderr)
    with get_client(sync_client=True) as client:
        client.update_flow_run_labels(UUID(flow_run.id), {**Owner.this_process().labels()})


def ride_out_restarts() -> None:
    """From now on, every client of this process waits about a minute for a server that refuses connections.

    Prefect's client does so once it has been connected, so that a wrong address is told at once; but every task has a
    client of its own, and the address is known to be right.
    """
    for client in (PrefectHttpxAsyncClient, PrefectHttpxSyncClient):
        setattr(client, "_has_connected", property(lambda _: True, lambda _, connected: None))  # noqa: B010  it is private


class Unheard:
    """A stream to the worker, which goes on when nobody reads it any more."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(BrokenPipeError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(BrokenPipeError):
            self._stream.flush()

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)
