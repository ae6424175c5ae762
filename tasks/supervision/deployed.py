"""The setup of a run that a worker has started: the run names its process, and survives a restart of the Prefect server
and the death of the worker.
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
    """Set up a deployed run when its flow begins. Do nothing for a run that a person started, who can restart it."""
    if deployment.id is None:
        return
    ride_out_restarts()
    sys.stdout, sys.stderr = Unheard(sys.stdout), Unheard(sys.stderr)
    with get_client(sync_client=True) as client:
        client.update_flow_run_labels(UUID(flow_run.id), {**Owner.this_process().labels()})


def ride_out_restarts() -> None:
    """Make every client of this process wait about a minute for a server that refuses connections.

    Prefect's client does so only after its first connection, so that a wrong address is reported at once; but every
    task has a client of its own, and the address is known to be right.
    """
    for client in (PrefectHttpxAsyncClient, PrefectHttpxSyncClient):
        setattr(client, "_has_connected", property(lambda _: True, lambda _, connected: None))  # noqa: B010  it is private


class Unheard:
    """A stream to the worker that can still be written to when nobody reads it any more."""

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
