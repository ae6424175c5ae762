"""The local Prefect server: started once however many ask, found again, never confused by what a kill leaves behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import alive

from effreason.errors import UserError
from tasks.local import server

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("home")
        patch.setenv("EFFREASON_PREFECT_HOME", str(folder))
        patch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")  # must not mislead the server itself
        yield folder
        server.stop()


def command(word: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "tasks.local.server", word], cwd=ROOT, capture_output=True, text=True)


def test_without_a_server_there_is_nothing_to_show_or_stop(home):
    assert server.running() is None
    assert not server.stop()
    assert "No Prefect server" in command("status").stdout


def test_what_a_kill_left_behind_is_not_taken_for_a_server(home):
    """The record names a process that lives, and an address where something answers, but nobody holds the lock."""
    (home / "server.json").write_text(f'{{"pid": {os.getpid()}, "port": 80}}')
    (home / "server.lock").touch()
    assert server.running() is None
    assert not server.stop(), "the process of the record is somebody else's"
    (home / "server.json").unlink()


def test_of_two_that_start_at_once_one_server_comes(home):
    began = time.monotonic()
    starting = [
        subprocess.Popen(
            [sys.executable, "-m", "tasks.local.server", "start"], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    told = [process.communicate(timeout=server.HEALTHY_WITHIN_SECONDS + 10)[0] for process in starting]
    assert time.monotonic() - began < server.HEALTHY_WITHIN_SECONDS + 5
    running = server.running()
    assert running is not None
    assert told == [f"Prefect UI: {running.address}\n"] * 2
    with urllib.request.urlopen(running.address) as page:  # noqa: S310
        assert b"<html" in page.read().lower(), "the UI is served at the address"
    with urllib.request.urlopen(f"{running.address}/ui-settings") as settings:  # noqa: S310
        assert running.api.encode() in settings.read(), "and asks the right server"


def test_a_running_server_is_used_again(home):
    before = server.running()
    began = time.monotonic()
    assert server.ensure_server() == before
    assert time.monotonic() - began < 2
    assert server.answers(before.api)


def test_after_a_kill_another_comes_elsewhere_if_its_port_is_taken(home):
    killed = server.running()
    os.killpg(killed.pid, signal.SIGKILL)
    while server.running() is not None:
        time.sleep(0.05)
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        thief.bind((server.HOST, killed.port))
        thief.listen()
        another = server.ensure_server()
    assert another.pid != killed.pid and another.port != killed.port
    assert server.answers(another.api)


def test_stopping_leaves_no_process(home):
    running = server.running()
    assert command("stop").stdout == "The Prefect server is stopped.\n"
    assert server.running() is None
    assert not alive(running.pid)
    assert not server.answers(running.api)


def test_of_two_homes_that_start_at_once_each_gets_its_own_server(tmp_path, monkeypatch):
    """Both find the port free, one gets it, and the other does not take that one's server for its own."""
    with socket.socket() as probe:
        probe.bind((server.HOST, 0))
        port = probe.getsockname()[1]
    homes = [tmp_path / "one", tmp_path / "other"]
    for folder in homes:
        folder.mkdir()
        (folder / "server.json").write_text(f'{{"pid": 0, "port": {port}}}')
    try:
        starting = [
            subprocess.Popen(
                [sys.executable, "-m", "tasks.local.server", "start"],
                cwd=ROOT, env={**os.environ, "EFFREASON_PREFECT_HOME": str(folder)}, stdout=subprocess.PIPE, text=True,
            )
            for folder in homes
        ]  # fmt: skip
        told = [process.communicate(timeout=server.HEALTHY_WITHIN_SECONDS + 10)[0] for process in starting]
        assert f"Prefect UI: http://{server.HOST}:{port}\n" in told and len(set(told)) == 2, told
        for folder, said in zip(homes, told, strict=True):
            with urllib.request.urlopen(f"{said.split()[-1]}/api/admin/settings") as settings:  # noqa: S310
                assert json.load(settings)["home"] == str(folder)
    finally:
        for folder in homes:
            monkeypatch.setenv("EFFREASON_PREFECT_HOME", str(folder))
            server.stop()


def test_the_port_of_the_last_server_is_taken_again(home):
    recorded = server._recorded()
    assert recorded is not None
    assert server._port() == recorded.port


def test_a_given_address_where_nobody_answers_is_refused_with_the_remedy():
    with pytest.raises(UserError, match=r"No Prefect server answers at http://127.0.0.1:9/api.*unset PREFECT_API_URL"):
        server.check_reachable("http://127.0.0.1:9/api")
    with pytest.raises(UserError, match="PREFECT_API_URL"):
        server.check_reachable("nonsense")


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_home_that_cannot_be_is_refused_with_its_name(tmp_path, monkeypatch, place):
    (tmp_path / "file").touch()
    monkeypatch.setenv("EFFREASON_PREFECT_HOME", str(tmp_path / place))
    with pytest.raises(UserError, match=f"{place} is not a folder"):
        server.ensure_server()
