"""Which containers have lost their purpose, and `make reap`, on an engine and a Prefect server that it has to find."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from prefect_fixtures import ask

from tasks.local.server import Server
from tasks.running import engine
from tasks.supervision import reaping
from tasks.supervision.owner import Owner

ROOT = Path(__file__).parent.parent
NEVER = "0001-01-01T00:00:00Z"
LONG_AGO = reaping.LEFT_AFTER + timedelta(minutes=1)
ELSEWHERE = Owner("a-container-that-is-gone", 7, "1234")


class Made(NamedTuple):
    """What of a container is looked at."""

    labels: Mapping[str, str]
    attrs: Mapping[str, Any]


def made(status: str = "exited", ended: timedelta = LONG_AGO, owner: Owner = ELSEWHERE, run: str = "") -> Made:
    at = f"{datetime.now(UTC) - ended:%Y-%m-%dT%H:%M:%S}.123456789Z"
    labels = {engine.STEP_LABEL: "prepare", engine.RUN_LABEL: run, **owner.labels()}
    finished = at if status in ("exited", "dead") else NEVER
    return Made(labels, {"Created": at, "State": {"Status": status, "FinishedAt": finished}})


# ------------------------------------------------------------------------------------------------- who is an orphan


@pytest.mark.parametrize("status", ["created", "dead", "exited"])
def test_one_that_ended_long_ago_for_a_run_that_nobody_knows_is_an_orphan(status):
    assert reaping.is_orphan(made(status), lambda run: None)
    assert not reaping.is_orphan(made(status, timedelta(seconds=30)), lambda run: None), "its launcher is at it"


@pytest.mark.parametrize("status", ["running", "paused", "restarting"])
def test_one_that_has_not_ended_is_none_while_nobody_knows_whether_its_run_is_over(status):
    assert not reaping.is_orphan(made(status), lambda run: None)


@pytest.mark.parametrize("status", ["created", "running", "exited"])
def test_of_a_run_that_is_known_its_state_decides_however_long_ago_the_container_ended(status):
    assert reaping.is_orphan(made(status, timedelta(0)), lambda run: True)
    assert not reaping.is_orphan(made(status), lambda run: False)


def test_one_whose_owner_is_dead_is_an_orphan_whatever_is_known_of_its_run():
    dead = Owner(socket.gethostname(), os.getpid(), "of another start")
    assert reaping.is_orphan(made("running", owner=dead), lambda run: False)
    assert not reaping.is_orphan(made("running", owner=Owner.this_process()), lambda run: None)


def test_a_container_without_a_run_belongs_to_none_that_could_be_over():
    assert reaping.is_over("") is None


# --------------------------------------------------------------------------------------------------------- as typed


class Engine(BaseHTTPRequestHandler):
    """Of Docker's interface, what is asked of it; broken, it fails when it is to list."""

    containers: dict[str, Made]
    broken = False

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path.endswith("/containers/json"):
            if self.broken:
                self._answer({"message": "no space left on device"}, 500)
            else:
                self._answer([{"Id": name} for name in self.containers])
        elif path.endswith("/json"):
            name = path.split("/")[-2]
            self._answer(
                {"Id": name, "Config": {"Labels": self.containers[name].labels}, **self.containers[name].attrs}
            )
        else:
            self._answer({"ApiVersion": "1.41", "MinAPIVersion": "1.12"} if path.endswith("/version") else "OK")

    def do_POST(self) -> None:
        self._answer(None, 204)

    def do_DELETE(self) -> None:
        del self.containers[urlsplit(self.path).path.split("/")[-1]]
        self._answer(None, 204)

    def _answer(self, what: object, status: int = 200) -> None:
        body = b"" if what is None else json.dumps(what).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Reaper:
    """`make reap` in a folder of its own, with an engine that has made-up containers."""

    def __init__(self, folder: Path, engine: type[Engine], port: int) -> None:
        self.containers, self.engine = engine.containers, engine
        told_elsewhere = ("PREFECT_API_URL", "EFFREASON_PREFECT_HOME")
        self.environment = {
            **{name: value for name, value in os.environ.items() if name not in told_elsewhere},
            "DOCKER_HOST": f"tcp://127.0.0.1:{port}",
            "EFFREASON_PREFECT_HOME": str(folder / "local"),
            "PREFECT_HOME": str(folder / "prefect"),
            "PYTHONPATH": str(ROOT),
        }

    def typed(self, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tasks.supervision.reaping"],
            cwd=ROOT,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=120,
        )


@pytest.fixture
def reaper(tmp_path: Path) -> Iterator[Reaper]:
    handler = type("Handler", (Engine,), {"containers": {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield Reaper(tmp_path, handler, server.server_port)
    server.shutdown()
    server.server_close()


def run_of(server: Server, state: str) -> str:
    flow = ask(server, "/flows/", {"name": "reaped"})["id"]
    return str(ask(server, "/flow_runs/", {"flow_id": flow, "state": {"type": state}})["id"])


def test_the_local_server_is_asked_which_runs_are_over_where_none_is_named(reaper: Reaper, prefect_server: Server):
    now = timedelta(0)
    reaper.containers["over"] = made("exited", now, run=run_of(prefect_server, "COMPLETED"))
    reaper.containers["under-way"] = made("exited", LONG_AGO, run=run_of(prefect_server, "RUNNING"))
    reaper.containers["forgotten"] = made("exited", LONG_AGO, run=str(uuid4()))
    reaper.containers["unknown"] = made("exited", now, run=str(uuid4()))
    done = reaper.typed(EFFREASON_PREFECT_HOME=ask(prefect_server, "/admin/settings")["home"])
    assert done.returncode == 0, done.stderr
    assert set(reaper.containers) == {"under-way", "unknown"}
    assert done.stderr.splitlines() == ["Removed an orphan: prepare (over)", "Removed an orphan: prepare (forgotten)"]


@pytest.mark.parametrize("named", [{}, {"PREFECT_API_URL": "http://127.0.0.1:9/api"}])
def test_without_a_server_none_is_started_and_what_is_known_without_one_is_done(reaper: Reaper, named, tmp_path):
    reaper.containers["forgotten"] = made(run=str(uuid4()))
    reaper.containers["unknown"] = made("running", run=str(uuid4()))
    done = reaper.typed(**named)
    assert done.returncode == 0, done.stderr
    assert set(reaper.containers) == {"unknown"}
    assert "No Prefect server answers" in done.stderr
    assert not (tmp_path / "local").exists() and not list(tmp_path.rglob("prefect.db"))


def test_an_engine_that_fails_is_told_in_a_sentence(reaper: Reaper):
    reaper.engine.broken = True
    failed = reaper.typed()
    assert failed.returncode == 1
    assert "reaping: Docker failed (500 Server Error" in failed.stderr and "Traceback" not in failed.stderr
