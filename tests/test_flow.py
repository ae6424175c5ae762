"""The flow on a real Prefect server, its steps stood in for by quick ones: real processes, a real store."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from logging import INFO, WARNING
from pathlib import Path
from typing import Any

import pytest
from fake_step import REPORT_FILES
from prefect_fixtures import ask
from processes import alive

from tasks.local.server import Server

ROOT = Path(__file__).parent.parent
EXPERIMENT = """
name = "small"
alphas = [0.0, 0.4]

[[models]]
source = "builtin"

[runtime]
parallel = 2
device = "cpu"
"""
STEPS = ["evaluate base", "evaluate tuned", "evaluate tuned", "prepare", "report", "train 0.0", "train 0.4"]


class Place:
    """A folder with an experiment and its store, and the runs from there."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = {**environment, "FAKE_STEP_DIARY": str(folder / "diary")}
        (folder / "small.toml").write_text(EXPERIMENT)

    def begin(self, moods: dict[str, str] | None = None) -> subprocess.Popen[str]:
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "fake_sweep.py"), "small.toml"],
            cwd=self.folder,
            env={**self.environment, "FAKE_STEP_MOODS": json.dumps(moods or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        return self.process

    def run(self, moods: dict[str, str] | None = None) -> tuple[int, str, str]:
        process = self.begin(moods)
        output, errors = process.communicate(timeout=120)
        return process.returncode, output, errors

    def started(self) -> dict[int, str]:
        """By the number of its process, every step that was started."""
        if not (self.folder / "diary").exists():
            return {}
        lines = (line.split(" ", 1) for line in (self.folder / "diary").read_text().splitlines())
        return {int(pid): name for pid, name in lines}

    def wait_for(self, *names: str) -> None:
        deadline = time.monotonic() + 60
        while not set(names) <= set(self.started().values()):
            assert time.monotonic() < deadline, f"{names} did not start"
            time.sleep(0.1)

    def survivors(self) -> list[int]:
        return [pid for pid in self.started() if alive(pid)]


@pytest.fixture
def place(tmp_path: Path, prefect_environment: dict[str, str]) -> Iterator[Place]:
    place = Place(tmp_path, prefect_environment)
    yield place
    place.process.kill()
    for pid in place.survivors():
        os.kill(pid, signal.SIGKILL)


def latest_run(server: Server) -> dict[str, str]:
    of_ours = {"flow_runs": {"name": {"like_": "small"}}, "sort": "START_TIME_DESC", "limit": 1}
    latest: dict[str, str] = ask(server, "/flow_runs/filter", of_ours)[0]
    return latest


# ------------------------------------------------------------------------------------------------------ it works


def test_a_sweep_makes_every_step_once_and_tells_of_it_and_a_second_run_only_prints(place, prefect_server):
    code, output, errors = place.run()
    assert (code, errors) == (0, "")
    assert sorted(place.started().values()) == STEPS
    assert "(7 of 7 steps)" in output
    assert "| 0.2 | 99% |" in output
    assert f"Report:     {place.folder}/runs/small/report/report.html" in output
    assert f"Prefect UI: {prefect_server.address}" in output
    assert (place.folder / "runs/small/report/report.json").read_text() == REPORT_FILES["report.json"]
    tasks = shown(prefect_server, made=len(STEPS))
    logged(prefect_server, tasks["prepare"], "a line of the log", INFO)
    logged(prefect_server, tasks["prepare"], "library.py:1: UserWarning: a warning of the step", WARNING)

    began = time.monotonic()
    code, again, errors = place.run()
    assert time.monotonic() - began < 20
    assert (code, errors) == (0, "")
    assert len(place.started()) == len(STEPS), "no process was started"
    assert again.count("found in the store") == len(STEPS)
    assert "| 0.2 | 99% |" in again
    shown(prefect_server, made=0)


def test_a_model_that_can_read_it_is_also_asked_for_brevity(place):
    (place.folder / "small.toml").write_text(EXPERIMENT + '[data]\nconcise = "no check"\n')
    code, output, errors = place.run()
    assert (code, errors) == (0, "")
    assert sorted(place.started().values()) == sorted([*STEPS, "evaluate base"])
    assert "(8 of 8 steps)" in output


def shown(server: Server, made: int) -> dict[str, str]:
    """See that the latest run, its tasks and its artifacts are there under readable names; the ids of the tasks."""
    run = latest_run(server)
    assert run["name"].startswith("small 20") and run["state_name"] == "Completed" and run["tags"] == ["small"]
    of_run = {"flow_runs": {"id": {"any_": [run["id"]]}}}
    tasks = {task["name"]: task["id"] for task in ask(server, "/task_runs/filter", of_run)}
    assert set(tasks) >= {"prepare", "train reasoner alpha=0.4 s0", "evaluate reasoner", "report", "publish"}
    artifacts = {key: artifact["data"] for key, artifact in shown_of_latest(server).items()}
    assert set(artifacts) >= {"small", "small-results", "small-dashboard"} and len(artifacts) == made + 3
    assert artifacts.get("small-train-reasoner-alpha-0-4-s0", 100) == 100
    assert "7 of 7 steps" in artifacts["small-dashboard"] and "All steps are done." in artifacts["small-dashboard"]
    page = artifacts["small"]
    assert "| 0.2 | 99% |" in page and "data:image/svg+xml;base64," in page and "file:///" in page
    return tasks


def shown_of_latest(server: Server) -> dict[str, dict[str, Any]]:
    """By their keys, the artifacts of the latest run."""
    of_run = {"flow_runs": {"id": {"any_": [latest_run(server)["id"]]}}}
    return {artifact["key"]: artifact for artifact in ask(server, "/artifacts/filter", of_run)}


def logged(server: Server, task: str, line: str, level: int) -> None:
    """Wait for a line in the log of a task; they arrive in batches."""
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        logs = ask(server, "/logs/filter", {"logs": {"task_run_id": {"any_": [task]}}})
        if any((log["message"], log["level"]) == (line, level) for log in logs):
            return
        time.sleep(0.5)
    raise AssertionError(f"{line!r} was not found under its task")


# ---------------------------------------------------------------------------------------------------- it fails


def test_a_fault_of_the_users_is_not_retried_and_ends_the_others_at_once(place, prefect_server):
    began = time.monotonic()
    code, output, errors = place.run({"train 0.4": "user", "train 0.0": "hang"})
    assert (code, errors) == (2, "full-sweep: The oven is cold. Light it.\n")
    assert time.monotonic() - began < 60, "nobody waited for the step that hangs"
    assert list(place.started().values()).count("train 0.4") == 1
    assert "stopped" in output
    assert place.survivors() == []
    latest = shown_of_latest(prefect_server)
    bar = latest["small-train-reasoner-alpha-0-4-s0"]
    assert (bar["data"], bar["description"]) == (0, "train reasoner alpha=0.4 s0: failed. The oven is cold.")
    dashboard = latest["small-dashboard"]["data"]
    assert "Finished steps are kept" in dashboard
    sealed, alone = map(int, re.findall(r"\*\* \| (\d+) \|", dashboard.partition("## Cost")[2]))
    assert alone > sealed, "what failed has cost something, too"


def test_a_step_that_failed_through_no_fault_of_the_experiment_is_tried_again(place):
    code, output, _ = place.run({"train 0.4": "failure"})
    assert code == 0
    assert list(place.started().values()).count("train 0.4") == 2
    assert "train reasoner alpha=0.4 s0: failed. The oven is cold." in output


def test_bad_input_is_refused_before_any_server_is_started(tmp_path):
    (tmp_path / "bad.toml").write_text(EXPERIMENT.replace("0.4", "1.4"))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("PREFECT_API_URL", None)
    command = [sys.executable, "-m", "flows.full_sweep", "bad.toml"]
    answer = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert answer.returncode == 2
    assert "bad.toml:3: alpha 1.4 is outside [0, 1)" in answer.stderr and "Traceback" not in answer.stderr
    assert not (tmp_path / ".prefect").exists()


# -------------------------------------------------------------------------------------------------- it is ended


@pytest.mark.parametrize("way", ["Ctrl-C", "SIGTERM", "cancelled in the UI"])
def test_however_a_run_is_ended_no_process_is_left_within_ten_seconds(place, prefect_server, way):
    process = place.begin({"train 0.4": "hang", "train 0.0": "hang"})
    place.wait_for("train 0.4", "train 0.0")
    began = time.monotonic()
    match way:
        case "Ctrl-C":
            process.send_signal(signal.SIGINT)
        case "SIGTERM":
            process.send_signal(signal.SIGTERM)
        case _:
            run = latest_run(prefect_server)
            ask(prefect_server, f"/flow_runs/{run['id']}/set_state", {"state": {"type": "CANCELLING"}})
    _, errors = process.communicate(timeout=30)
    assert time.monotonic() - began < 10
    assert place.survivors() == []
    match way:
        case "Ctrl-C":
            assert process.returncode == 130 and "run it again to continue" in errors
        case "cancelled in the UI":
            assert process.returncode == 1 and "cancelled" in errors
            assert latest_run(prefect_server)["state_name"] == "Cancelled"
    assert process.returncode != 0 and "Traceback" not in errors
    bar = shown_of_latest(prefect_server)["small-train-reasoner-alpha-0-4-s0"]
    assert bar["description"] == "train reasoner alpha=0.4 s0: stopped"
