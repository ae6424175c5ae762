"""What orchestration costs: a sweep whose steps are all in the store passes through the flow in seconds."""

import re
import subprocess
import sys
import time
import tomllib
from datetime import datetime
from pathlib import Path
from statistics import mean

import pytest
from fake_step import REPORT_FILES, artifact
from prefect_fixtures import ask
from test_artifacts_command import PROVENANCE

from effreason.choices import FolderHome
from effreason.experiment import Experiment
from effreason.experiment_file import prepared
from effreason.order import Order
from effreason.planning import steps
from effreason.store import Store, open_store
from effreason.workbench import Runtime
from tasks.local.server import Server

ROOT = Path(__file__).parent.parent
CELLS = 100
EXPERIMENT = f"""
name = "wide"
alphas = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
seeds = {list(range(CELLS // 10))}

[[models]]
source = "builtin"

[store]
kind = "folder"
path = "STORE"
"""
"""A training and a measurement for each cell, and three steps more."""
NARROW = """
name = "narrow"
alphas = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]

[[models]]
source = "builtin"

[runtime]
parallel = 1
device = "cpu"
"""
MOST_SECONDS = 20.0
MOST_SECONDS_ADDED = 1.0


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    (tmp_path / "wide.toml").write_text(EXPERIMENT.replace("STORE", str(tmp_path / "store")))
    return prepared(str(tmp_path / "wide.toml"))


def fill(store: Store, experiment: Experiment, output: Path) -> None:
    """Seal what every step of the experiment would make."""
    output.mkdir()
    for name, content in REPORT_FILES.items():
        (output / name).write_text(content)
    for _, spec in steps(experiment):
        store.seal(spec, artifact(spec), output, PROVENANCE)


@pytest.mark.slow
def test_two_hundred_steps_that_are_done_pass_through_a_flow_in_twenty_seconds(
    experiment, tmp_path, prefect_environment
):
    fill(open_store(experiment.store), experiment, tmp_path / "output")
    began = time.monotonic()
    run = subprocess.run(
        [sys.executable, "-m", "flows.full_sweep", "wide.toml"],
        cwd=tmp_path,
        env=prefect_environment,
        capture_output=True,
        text=True,
        timeout=280,
    )
    seconds = time.monotonic() - began
    assert run.returncode == 0, run.stderr
    found = re.findall(r"found in the store \((\d+) of (\d+) steps\)", run.stdout)
    assert len(found) == 2 * CELLS + 3
    print(f"{len(found)} steps in {seconds:.1f} s")
    assert seconds < MOST_SECONDS


@pytest.mark.slow
def test_orchestration_adds_at_most_a_second_to_a_step(tmp_path, prefect_environment, prefect_server):
    """Steps one after the other, compared with the same steps run by hand."""
    (tmp_path / "narrow.toml").write_text(NARROW)
    environment = {**prefect_environment, "FAKE_STEP_DIARY": str(tmp_path / "diary")}
    command = [sys.executable, str(ROOT / "tests" / "fake_sweep.py"), "narrow.toml"]
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280)
    assert run.returncode == 0, run.stderr
    alone = by_hand(prepared(str(tmp_path / "narrow.toml")), tmp_path, environment)
    added = in_the_flow(prefect_server) - alone
    print(f"{alone:.2f} s by hand, and {added:.2f} s in a flow on top")
    assert added < MOST_SECONDS_ADDED


def in_the_flow(server: Server) -> float:
    """Seconds from one step to the next of the latest run."""
    of_ours = {"flow_runs": {"name": {"like_": "narrow"}}, "sort": "START_TIME_DESC", "limit": 1}
    (run,) = ask(server, "/flow_runs/filter", of_ours)
    tasks = ask(server, "/task_runs/filter", {"flow_runs": {"id": {"any_": [run["id"]]}}})
    ends = sorted(datetime.fromisoformat(task["end_time"]) for task in tasks if task["name"] != "publish")
    assert len(ends) == len(list(steps(Experiment.model_validate(tomllib.loads(NARROW)))))
    return (ends[-1] - ends[0]).total_seconds() / (len(ends) - 1)


def by_hand(experiment: Experiment, folder: Path, environment: dict[str, str]) -> float:
    """Seconds of a step without a flow, into another store."""
    (folder / "hand").mkdir()
    lasted = []
    for number, (_, spec) in enumerate(steps(experiment)):
        order = folder / "hand" / f"{number}.json"
        order.write_text(
            Order(spec=spec, store=FolderHome(path=str(folder / "hand/store")), runtime=Runtime()).model_dump_json()
        )
        began = time.monotonic()
        command = [sys.executable, str(ROOT / "tests" / "fake_step.py"), spec.step, str(order)]
        subprocess.run(command, env=environment, capture_output=True, check=True)
        lasted.append(time.monotonic() - began)
    return mean(lasted)
