"""A run is watched from within: against a real Prefect server."""

import threading
import time
from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest
from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelling, Crashed, Running
from prefect_fixtures import ask

from tasks.local.server import Server
from tasks.supervision import cancelling
from tasks.supervision.cancelling import watching
from tasks.supervision.owner import Owner

POLL_SECONDS = 0.05


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancelling, "POLL_SECONDS", POLL_SECONDS)


@pytest.fixture
def client(prefect_server: Server) -> Iterator[SyncPrefectClient]:
    with temporary_settings({PREFECT_API_URL: prefect_server.api}), get_client(sync_client=True) as client:
        yield client


def begun(client: SyncPrefectClient, server: Server, owner: Owner) -> UUID:
    """A run that the owner works for, of a deployment that lets one run at once."""
    flow = ask(server, "/flows/", {"name": "watched"})["id"]
    asked = {"name": f"watched-{uuid4()}", "flow_id": flow, "entrypoint": "x.y", "concurrency_limit": 1}
    deployment = ask(server, "/deployments/", asked)["id"]
    run = client.create_flow_run_from_deployment(UUID(deployment)).id
    client.update_flow_run_labels(run, {**owner.labels()})
    for state in (Running(), Crashed(message="This run sent no heartbeat for 90 s.")):
        client.set_flow_run_state(run, state)
    return run


def after_some_looks(client: SyncPrefectClient, run: UUID) -> FlowRun:
    with watching(run, lambda: None):
        time.sleep(20 * POLL_SECONDS)
    return client.read_flow_run(run)


def test_a_run_that_is_taken_for_dead_says_that_it_lives(client, prefect_server):
    run = after_some_looks(client, begun(client, prefect_server, Owner.this_process()))
    assert run.state.name == "Running" and run.state.message == "It was marked as dead, but its process is alive."


def test_a_run_that_another_process_has_taken_up_is_left_to_that(client, prefect_server):
    other = Owner.this_process()._replace(host="another")
    assert after_some_looks(client, begun(client, prefect_server, other)).state.name == "Crashed"


def test_a_run_that_was_scheduled_again_is_left_so(client, prefect_server):
    """Also where it is scheduled between the look and the word."""
    number = begun(client, prefect_server, Owner.this_process())
    seen = client.read_flow_run(number)
    again = {"type": "SCHEDULED", "name": "Resuming", "state_details": {"scheduled_time": "2100-01-01T00:00:00Z"}}
    ask(prefect_server, f"/flow_runs/{number}/set_state", {"state": again, "force": True})
    assert seen.state.name == "Crashed"
    cancelling._contest(client, seen)
    assert after_some_looks(client, number).state.name == "Resuming"


def test_a_run_that_is_cancelled_in_the_ui_is_told_so_once(client, prefect_server):
    number = begun(client, prefect_server, Owner.this_process())
    client.set_flow_run_state(number, Cancelling(), force=True)
    told = threading.Semaphore(0)
    with watching(number, told.release):
        assert told.acquire(timeout=10)
        assert not told.acquire(timeout=10 * POLL_SECONDS)
