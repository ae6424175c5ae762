"""Runs whose process is gone go on by themselves: against a real Prefect server and a worker."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Crashed, Pending
from prefect_fixtures import ask
from processes import alive, gone

from infra import resuming
from infra.registration import POOL
from tasks.local.server import Server
from tasks.supervision.cancelling import POLL_SECONDS
from tasks.supervision.owner import Owner

ROOT = Path(__file__).parent.parent
FLOW = '''
import os
import time
from pathlib import Path

from prefect import flow

from tasks.supervision.deployed import settle_in


@flow
def unlucky(folder: str, mood: str) -> int:
    """Ends when the file `end` is there, and writes down each of its processes."""
    settle_in()
    with open(Path(folder, "processes"), "a") as processes:
        processes.write(f"{os.getpid()}\\n")
    if mood == "fails":
        raise ValueError("for a reason of its own")
    while not Path(folder, "end").exists():
        print("a word to whoever listens", flush=True)
        time.sleep(0.1)
    return 1
'''


class Unlucky:
    """A deployment in a pool of its own, and its worker."""

    def __init__(self, server: Server, folder: Path, environment: dict[str, str]) -> None:
        self.server, self.folder = server, folder
        (folder / "unlucky_flow.py").write_text(FLOW)
        self.environment = {
            **environment,
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "PYTHONPATH": f"{ROOT}:{folder}",
        }
        ask(server, "/work_pools/", {"name": folder.name, "type": "process"})
        flow = ask(server, "/flows/", {"name": "unlucky"})["id"]
        asked = {"name": folder.name, "flow_id": flow, "entrypoint": "unlucky_flow.unlucky", "pull_steps": []}
        place = {"work_pool_name": folder.name, "tags": ["effreason"]}
        self.deployment = ask(server, "/deployments/", asked | place)["id"]
        self.worker = self.hire()

    def hire(self) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", self.folder.name]
        with (self.folder / "worker.log").open("ab") as log:
            return subprocess.Popen(command, env=self.environment, stdout=log, stderr=log, cwd=self.folder)

    def begun(self, mood: str = "waits") -> str:
        asked = {"parameters": {"folder": str(self.folder), "mood": mood}}
        return ask(self.server, f"/deployments/{self.deployment}/create_flow_run", asked)["id"]

    def run(self, number: str) -> dict[str, Any]:
        return ask(self.server, f"/flow_runs/{number}")

    def processes(self) -> list[int]:
        path = self.folder / "processes"
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    def end(self) -> None:
        (self.folder / "end").touch()
        for pid in [self.worker.pid, *self.processes()]:
            if alive(pid):
                os.kill(pid, signal.SIGKILL)
        self.worker.wait()


@pytest.fixture
def unlucky(prefect_server, prefect_environment, tmp_path_factory) -> Iterator[Unlucky]:
    made = Unlucky(prefect_server, tmp_path_factory.mktemp("unlucky"), prefect_environment)
    yield made
    made.end()


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.25)


def look(unlucky: Unlucky, settled: int = 0) -> str:
    """What is said by one look for dead runs, where one is taken for settled after so many seconds."""
    script = f"""
from datetime import timedelta
from prefect import get_client
from infra import resuming
from infra.registration import POOL
resuming.SETTLING = timedelta(seconds={settled})
with get_client(sync_client=True) as client: print(*resuming.resume(client))"""
    return subprocess.run(
        [sys.executable, "-c", script], env=unlucky.environment, capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.slow
def test_a_run_whose_process_was_killed_goes_on_in_another(unlucky):
    run = unlucky.begun()
    until(lambda: len(unlucky.processes()) == 1)
    until(lambda: "effreason.process" in unlucky.run(run)["labels"])
    assert unlucky.run(run)["name"] not in look(unlucky), "its process lives"
    os.kill(unlucky.processes()[0], signal.SIGKILL)
    until(lambda: unlucky.run(run)["state_type"] == "CRASHED")
    assert unlucky.run(run)["name"] in look(unlucky)
    until(lambda: len(unlucky.processes()) == 2)
    (unlucky.folder / "end").touch()
    until(lambda: unlucky.run(run)["state_type"] == "COMPLETED")
    assert unlucky.run(run)["run_count"] == 2


def test_a_run_that_died_with_its_worker_goes_on_in_the_next(unlucky):
    run = unlucky.begun()
    until(lambda: "effreason.process" in unlucky.run(run)["labels"])
    os.kill(unlucky.worker.pid, signal.SIGKILL)
    unlucky.worker.wait()
    assert unlucky.run(run)["name"] not in look(unlucky), "an orphan works on"
    assert alive(unlucky.processes()[0]), "though nobody reads what it says"
    os.kill(unlucky.processes()[0], signal.SIGKILL)
    assert gone(unlucky.processes()[0])
    assert unlucky.run(run)["state_type"] == "RUNNING", "nobody was left to say so"
    assert unlucky.run(run)["name"] not in look(unlucky, settled=600), "it may have begun this moment"
    assert unlucky.run(run)["name"] in look(unlucky)
    unlucky.worker = unlucky.hire()
    (unlucky.folder / "end").touch()
    until(lambda: unlucky.run(run)["state_type"] == "COMPLETED")


@pytest.mark.slow
def test_a_run_that_failed_or_was_cancelled_stays_so(unlucky):
    failed = unlucky.begun("fails")
    until(lambda: unlucky.run(failed)["state_type"] == "FAILED")
    cancelled = unlucky.begun()
    until(lambda: "effreason.process" in unlucky.run(cancelled)["labels"])
    ask(unlucky.server, f"/flow_runs/{cancelled}/set_state", {"state": {"type": "CANCELLING"}})
    until(lambda: unlucky.run(cancelled)["state_type"] == "CANCELLED")
    said = look(unlucky)
    assert unlucky.run(failed)["name"] not in said and unlucky.run(cancelled)["name"] not in said


def test_a_run_that_crashes_again_and_again_is_left_in_the_end():
    state = Crashed()
    run = FlowRun(flow_id=uuid4(), deployment_id=uuid4(), state=state, labels={resuming.TIMES: resuming.MOST - 1})
    now = state.timestamp
    assert resuming._is_dead(run, now)
    assert not resuming._is_dead(run.model_copy(update={"labels": {resuming.TIMES: resuming.MOST}}), now)
    assert not resuming._is_dead(run, now + 2 * resuming.LATEST), "nobody waits for it any more"
    assert not resuming._is_dead(run.model_copy(update={"labels": Owner.this_process().labels()}), now), "it lives"
    assert resuming._pause(0) < resuming._pause(1) < resuming._pause(20) == resuming.LONGEST_PAUSE


def test_a_run_of_another_host_is_left_alone_while_its_process_may_say_that_it_lives():
    here, state = Owner.this_process(), Crashed()
    elsewhere = FlowRun(
        flow_id=uuid4(), deployment_id=uuid4(), state=state, labels=here._replace(host="another").labels()
    )
    dead = elsewhere.model_copy(update={"labels": here._replace(start="0").labels()})
    soon, late = (state.timestamp + part * resuming.CONTESTING for part in (0.9, 1.1))
    assert not resuming._is_dead(elsewhere, soon) and resuming._is_dead(elsewhere, late)
    assert resuming._is_dead(dead, soon), "of one of this host it is known"
    assert timedelta(seconds=10 * POLL_SECONDS) <= resuming.CONTESTING


def test_a_run_that_waits_for_a_worker_of_another_pool_is_left_to_that():
    """A node for a pod may have to be made first."""
    state = Pending()
    ours = FlowRun(flow_id=uuid4(), deployment_id=uuid4(), state=state, work_pool_name=POOL)
    later = state.timestamp + 2 * resuming.BEGINNING
    assert resuming._is_dead(ours, later) and not resuming._is_dead(ours, state.timestamp)
    assert not resuming._is_dead(ours.model_copy(update={"work_pool_name": "gpu"}), later)


# ------------------------------------------------------------------------------------------- without any process


class Dead:
    """A run of a deployment that nobody works for, called Crashed while a task of it is called Running."""

    def __init__(self, server: Server) -> None:
        self.server = server
        flow = ask(server, "/flows/", {"name": "unlucky"})["id"]
        asked = {"name": f"dead-{uuid4()}", "flow_id": flow, "entrypoint": "x.y", "tags": ["effreason"]}
        deployment = ask(server, "/deployments/", asked)["id"]
        self.number = ask(server, f"/deployments/{deployment}/create_flow_run", {})["id"]
        task = {"flow_run_id": self.number, "task_key": "train", "dynamic_key": "0", "state": {"type": "RUNNING"}}
        self.task = ask(server, "/task_runs/", task)["id"]
        self.becomes("CRASHED")

    def becomes(self, state: str) -> None:
        ask(self.server, f"/flow_runs/{self.number}/set_state", {"state": {"type": state}, "force": True})

    def states(self) -> tuple[str, str]:
        """Of the run and of its task."""
        run, task = f"/flow_runs/{self.number}", f"/task_runs/{self.task}"
        return ask(self.server, run)["state_name"], ask(self.server, task)["state_type"]


@pytest.fixture
def client(prefect_server: Server) -> Iterator[SyncPrefectClient]:
    with temporary_settings({PREFECT_API_URL: prefect_server.api}), get_client(sync_client=True) as client:
        yield client


def test_a_run_that_somebody_else_has_taken_up_meanwhile_is_left_to_that(prefect_server, client):
    dead, read = Dead(prefect_server), client.read_task_runs

    def slowly(**asked: object) -> object:
        dead.becomes("RUNNING")
        return read(**asked)

    client.read_task_runs = slowly
    list(resuming.resume(client))
    assert dead.states() == ("Running", "RUNNING")


def test_every_dead_run_and_task_is_found_however_few_the_server_tells_at_once(prefect_server, client):
    dead = [Dead(prefect_server) for _ in range(3)]
    for name in ("read_flow_runs", "read_task_runs"):
        setattr(client, name, partial(getattr(client, name), limit=1))
    list(resuming.resume(client))
    assert [run.states() for run in dead] == [("Resuming", "CRASHED")] * 3
    for run in dead:
        run.becomes("CANCELLED")
