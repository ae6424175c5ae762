"""The artifact browser beside the local server: one for each store, found again, and gone when the server is."""

import fcntl
import os
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_artifacts_command import PROVENANCE, REPORT

from effreason.artifacts import Report
from effreason.choices import FolderHome
from effreason.errors import StepFailure
from effreason.store.folder import FolderStore
from tasks.local import browser
from tasks.local.daemons import Daemon


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    """A home where a Prefect server seems to run: its lock is held by this process."""
    monkeypatch.setenv("EFFREASON_PREFECT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    monkeypatch.delenv(browser.ARTIFACTS_URL, raising=False)
    (tmp_path / "home").mkdir()
    daemon = Daemon(tmp_path / "home", "server")
    lock = (tmp_path / "home" / "server.lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    daemon.publish({"pid": os.getpid(), "port": 9})
    yield daemon
    lock.close()
    until_gone(tmp_path / "home")


def until_gone(home: Path) -> None:
    """Without its server a browser ends by itself."""
    deadline = time.monotonic() + 30
    daemons = [Daemon(home, path.stem) for path in home.glob("browser-*.lock")]
    while any(daemon.running() for daemon in daemons):
        assert time.monotonic() < deadline, "a browser outlives its server"
        time.sleep(0.1)


@pytest.fixture
def store(tmp_path: Path) -> FolderHome:
    return filled(tmp_path / "store", "<p>The report</p>")


def filled(folder: Path, page: str) -> FolderHome:
    output = folder.with_name(f"{folder.name}-output")
    output.mkdir()
    (output / "report.html").write_text(page)
    FolderStore(folder).seal(REPORT, Report(address=REPORT.address, recommended={}), output, PROVENANCE)
    return FolderHome(path=str(folder))


def opened(address: str | None) -> str:
    with urllib.request.urlopen(f"{address}/{REPORT.address}/report.html", timeout=10) as page:  # noqa: S310
        return page.read().decode()


def test_a_run_on_the_local_server_gets_a_browser_of_its_store_and_the_next_run_the_same(local, store):
    address = browser.address_of(store)
    assert opened(address) == "<p>The report</p>"
    began = time.monotonic()
    assert browser.address_of(store) == address
    assert time.monotonic() - began < 1


def test_each_store_has_its_own(local, store, tmp_path):
    other = filled(tmp_path / "other", "<p>Another</p>")
    addresses = browser.address_of(store), browser.address_of(other)
    assert [opened(address) for address in addresses] == ["<p>The report</p>", "<p>Another</p>"]


def test_a_store_is_the_same_however_its_folder_is_written(local, store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert browser.address_of(FolderHome(path="./store")) == browser.address_of(store)


def test_after_a_kill_another_comes_at_the_same_port(local, store):
    address = browser.address_of(store)
    killed = browser.running(store)
    os.kill(killed.pid, 9)
    while browser.running(store) is not None:
        time.sleep(0.05)
    assert browser.address_of(store) == address and opened(address)


def test_where_the_address_is_given_none_is_started(local, store, monkeypatch):
    monkeypatch.setenv(browser.ARTIFACTS_URL, "http://127.0.0.1:4280/")
    assert browser.address_of(store) == "http://127.0.0.1:4280"
    assert browser.running(store) is None


@pytest.mark.parametrize("api", ["https://prefect.example/api", None])
def test_a_run_on_another_server_or_on_none_gets_none(local, store, monkeypatch, api):
    if api is None:
        monkeypatch.delenv("PREFECT_API_URL")
    else:
        monkeypatch.setenv("PREFECT_API_URL", api)
    assert browser.address_of(store) is None and browser.running(store) is None


def test_one_that_cannot_start_is_told_with_its_log(local, store, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(StepFailure, match=r"did not start.*browser-\w+\.log"):
        browser.ensure_browser(store)
