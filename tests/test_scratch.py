"""What a step writes beside the store goes with it, whoever of step and launcher is killed."""

import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from processes import gone

from effreason.choices import BuiltInModel, FolderHome
from effreason.experiment import Experiment
from effreason.order import Order
from tasks.running.launchers import ProcessLauncher, Work
from tasks.running.scratch import PREFIX, scratch
from tasks.running.turns import Share

STEP = """
import json, os, sys, tempfile, threading, time
from pathlib import Path
def until_stdin_closes():
    while os.read(0, 1):
        pass
    time.sleep(float(sys.argv[2]))
    os._exit(137)
threading.Thread(target=until_stdin_closes, daemon=True).start()
(Path(tempfile.mkdtemp()) / "weights").write_text("many")
(Path(sys.argv[1]) / "told").write_text(json.dumps([os.getpid(), tempfile.gettempdir()]))
time.sleep(600)
"""

LAUNCHER = """
import pickle, sys
from threading import Event
launcher, work, share = pickle.loads(bytes.fromhex(sys.argv[1]))
with launcher.started(work, share) as running:
    list(running.lines(Event()))
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


def step(tmp_path: Path, lingers_seconds: float = 0.0) -> ProcessLauncher:
    return ProcessLauncher((sys.executable, "-c", STEP, str(tmp_path), str(lingers_seconds)))


def work(tmp_path: Path) -> Work:
    experiment = Experiment(
        name="small", models=(BuiltInModel(),), alphas=(0.2,), store=FolderHome(path=str(tmp_path / "store"))
    )
    order = Order(spec=experiment.prepare_spec(), store=experiment.store)
    return Work("prepare", order, experiment.name, "")


def told(tmp_path: Path) -> tuple[int, Path]:
    """The step's process, and the folder that it takes for the system's."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if (tmp_path / "told").exists() and (text := (tmp_path / "told").read_text()):
            pid, folder = json.loads(text)
            return pid, Path(folder)
        time.sleep(0.05)
    raise AssertionError("the step did not begin")


def test_a_killed_step_leaves_nothing(tmp_path, temporary):
    with step(tmp_path).started(work(tmp_path), Share((), {}, (), 0)):
        pid, folder = told(tmp_path)
        assert folder.parent == temporary and list(folder.glob("*/weights"))
        os.kill(pid, signal.SIGKILL)
        assert gone(pid)
    assert list(temporary.iterdir()) == []


def launcher_elsewhere(tmp_path: Path, lingers_seconds: float) -> subprocess.Popen[bytes]:
    what = pickle.dumps((step(tmp_path, lingers_seconds), work(tmp_path), Share((), {}, (), 0))).hex()
    return subprocess.Popen([sys.executable, "-c", LAUNCHER, what], stderr=subprocess.DEVNULL)


def test_what_a_killed_launcher_leaves_goes_when_the_next_step_begins_but_not_before_the_last_one_has_ended(
    tmp_path, temporary
):
    launcher = launcher_elsewhere(tmp_path, lingers_seconds=3.0)
    pid, folder = told(tmp_path)
    launcher.kill()
    launcher.wait()
    with scratch() as own:
        assert folder.exists(), "the step may still save its work"
        assert gone(pid, within_seconds=10)
        with scratch():
            assert not folder.exists() and own.folder.exists(), "of two that are at work neither removes the other's"
    assert list(temporary.iterdir()) == []


def test_what_only_looks_like_one_is_left_alone(temporary):
    os.mkfifo(temporary / f"{PREFIX}pipe")
    (temporary / f"{PREFIX}file").write_text("somebody's")
    elsewhere = temporary / "elsewhere"
    elsewhere.mkdir()
    (temporary / f"{PREFIX}link").symlink_to(elsewhere)
    with scratch():
        pass
    assert len(list(temporary.iterdir())) == 4
