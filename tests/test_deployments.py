"""What the documentation tells people to type for deployments, typed against a real Prefect server and worker."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect_fixtures import ask
from processes import alive

from infra.registration import _with_heartbeats
from infra.zombies import DEAD_AFTER_SECONDS, HEARTBEAT_SETTING
from tasks.local.server import TRACKING_OFF, Server

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
EXPERIMENT = """
name = "deployed"
alphas = [0.0, 0.4]

[[models]]
source = "builtin"

[runtime]
parallel = 2
device = "cpu"
"""


class Place:
    """A server with our deployments, and a folder from which they run."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.environment = {
            **os.environ,
            **TRACKING_OFF,
            "EFFREASON_ARTIFACTS_URL": "http://127.0.0.1:4280",
            "EFFREASON_DIRECTORY": str(folder),
            "FAKE_STEP_DIARY": str(folder / "diary"),
            "PREFECT_API_URL": server.api,
            "PREFECT_HOME": str(folder / "prefect"),
            "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "PYTHONPATH": str(ROOT),
        }
        (folder / "deployed.toml").write_text(EXPERIMENT)

    def typed(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """A command typed in the checkout."""
        return subprocess.run(
            [str(BIN / words[0]), *words[1:]],
            cwd=ROOT,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=120,
        )

    def deploy(self) -> str:
        done = self.typed("python", "-m", "infra.deploy")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def deployment(self) -> dict[str, Any]:
        return ask(self.server, "/deployments/name/full-sweep/full-sweep")

    def latest_run(self) -> dict[str, Any]:
        return ask(self.server, "/flow_runs/filter", {"sort": "EXPECTED_START_TIME_DESC", **self.of_ours()})[0]

    def runs(self) -> list[dict[str, Any]]:
        return ask(self.server, "/flow_runs/filter", self.of_ours())

    def of_ours(self) -> dict[str, Any]:
        return {"deployments": {"name": {"any_": ["full-sweep"]}}}


@pytest.fixture(scope="module")
def place(prefect_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(prefect_server, tmp_path_factory.mktemp("deployed"))
    place.deploy()
    return place


@pytest.fixture
def worker(place: Place) -> Iterator[subprocess.Popen[bytes]]:
    with (place.folder / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "infra.worker"],
            cwd=ROOT,
            env=place.environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    yield process
    if alive(process.pid):
        os.killpg(process.pid, signal.SIGINT)
        process.wait(30)


def until(true: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.25)


def unchanging(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key not in ("updated", "status", "last_polled")}


def registered(place: Place) -> list[Any]:
    """All that the server knows of us."""
    deployment = place.deployment()
    deployment["schedules"] = [unchanging(schedule) for schedule in deployment["schedules"]]
    deployment["global_concurrency_limit"] = unchanging(deployment["global_concurrency_limit"])
    automations = [unchanging(automation) for automation in ask(place.server, "/automations/filter", {})]
    for automation in automations:  # sets, in any order
        automation["trigger"]["expect"].sort()
    return [unchanging(deployment), automations, unchanging(ask(place.server, "/work_pools/effreason"))]


def test_deploying_twice_changes_nothing(place):
    before = registered(place)
    told = place.deploy()
    assert "full-sweep/full-sweep is registered" in told and f"Prefect UI: {place.server.address}" in told
    assert registered(place) == before


def test_the_deployment_has_a_form_tags_a_limit_and_a_schedule_that_waits_to_be_asked_for(place):
    deployment = place.deployment()
    assert deployment["tags"] == ["effreason", "sweep"]
    assert deployment["parameters"] == {"experiment": "tiny"}
    assert deployment["global_concurrency_limit"]["limit"] == 1
    assert deployment["concurrency_options"]["collision_strategy"] == "ENQUEUE"
    assert [(schedule["slug"], schedule["active"]) for schedule in deployment["schedules"]] == [("nightly", False)]
    choices = deployment["parameter_openapi_schema"]["properties"]["experiment"]["anyOf"]
    assert choices[0] == {"type": "string"} and choices[1]["$ref"].endswith("/Experiment")


def test_a_measurement_has_a_form_that_asks_for_an_experiment_and_a_model(place):
    deployment = ask(place.server, "/deployments/name/evaluate/evaluate")
    schema = deployment["parameter_openapi_schema"]
    assert set(schema["required"]) == {"experiment", "model"}
    assert "train/ADDRESS" in schema["properties"]["model"]["description"]
    assert deployment["tags"] == ["effreason", "measurement"] and deployment["schedules"] == []


def test_a_schedule_that_is_switched_on_stays_on_and_makes_runs(place):
    """With SQLAlchemy 2.1, Prefect 3.8 takes the schedule and makes none."""
    before = place.deployment()
    command = ("schedule", "resume", "full-sweep/full-sweep", before["schedules"][0]["id"])
    assert place.typed("prefect", "deployment", *command).returncode == 0
    place.deploy()
    assert place.deployment()["schedules"][0]["active"]
    until(lambda: any(run["state_name"] == "Scheduled" and run["auto_scheduled"] for run in place.runs()), 60)
    paused = place.typed("prefect", "deployment", "schedule", "pause", *command[2:])
    assert paused.returncode == 0
    place.deploy()
    assert not place.deployment()["schedules"][0]["active"]


def environments(*entries: dict[str, Any]) -> list[dict[str, str]]:
    """Of the runs of deployments, as they are registered."""
    found = _with_heartbeats({"deployments": list(entries)})["deployments"]
    return [entry.get("work_pool", {}).get("job_variables", {}).get("env", {}) for entry in found]


@pytest.mark.parametrize(
    "pool",
    [
        {},
        {"work_pool": {"name": "gpu"}},
        {"work_pool": {"name": "gpu", "job_variables": {"gpus": 4, "env": None}}},
        {"work_pool": {"name": "gpu", "job_variables": {"env": {"A": "1"}}}},
    ],
)
def test_a_run_that_the_automation_looks_after_says_often_enough_that_it_lives(pool):
    """Prefect itself has it say so every 180 s, which the automation takes for its death."""
    (environment,) = environments({"name": "own", "tags": ["mine", "effreason"], **pool})
    assert 2 * int(environment[HEARTBEAT_SETTING]) < DEAD_AFTER_SECONDS
    assert environment.keys() <= {HEARTBEAT_SETTING, "A"}
    others = {"deployments": [{"name": "own", "tags": ["mine"], **pool}]}
    assert _with_heartbeats(others) == others, "which is none of ours"


def test_what_an_entry_says_of_heartbeats_stands_and_ours_say_it_themselves():
    own = {"work_pool": {"name": "gpu", "job_variables": {"env": {HEARTBEAT_SETTING: "40"}}}, "tags": ["effreason"]}
    assert environments(own) == [{HEARTBEAT_SETTING: "40"}]
    beside = {"work_pool": {"job_variables": {"env": {"A": "1"}}}, "tags": ["effreason"]}
    assert environments(beside)[0]["A"] == "1"
    project = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    assert _with_heartbeats(project) == project, "also for those who deploy by Prefect's own command"


BAD_ENTRY = """
  - name: misspelt
    entrypoint: flows.full_sweep.misspelt
    work_pool: *pool
"""
REGISTER = "import sys, pathlib, infra.registration as r; r.ROOT = pathlib.Path(sys.argv[1]); print(*r.register())"


def registered_from(place: Place, project: str) -> subprocess.CompletedProcess[str]:
    folder = place.folder / "project"
    folder.mkdir(exist_ok=True)
    (folder / "prefect.yaml").write_text((ROOT / "prefect.yaml").read_text() + project)
    return place.typed("python", "-c", REGISTER, str(folder))


def test_a_schedule_that_is_on_stays_on_where_a_later_deployment_is_refused(place):
    schedule = place.deployment()["schedules"][0]["id"]
    command = ("prefect", "deployment", "schedule")
    assert place.typed(*command, "resume", "full-sweep/full-sweep", schedule).returncode == 0
    refused = registered_from(place, BAD_ENTRY)
    assert refused.returncode != 0 and "Prefect refused prefect.yaml" in refused.stderr
    assert place.deployment()["schedules"][0]["active"]
    place.deploy()
    assert place.deployment()["schedules"][0]["active"]
    assert place.typed(*command, "pause", "full-sweep/full-sweep", schedule).returncode == 0


def test_a_scheduled_deployment_of_no_flow_is_refused_before_anything_is_registered(place):
    before = registered(place)
    misspelt = BAD_ENTRY + "    schedules: [{slug: nightly, cron: '0 2 * * *'}]\n"
    refused = registered_from(place, misspelt)
    assert "flows.full_sweep.misspelt, which is not a flow" in refused.stderr
    assert registered(place) == before


def test_a_bare_name_and_a_whole_one_start_the_same_deployment(place):
    for name in ("full-sweep", "full-sweep/full-sweep"):
        typed = place.typed("prefect", "deployment", "run", name)
        assert typed.returncode == 0, typed.stderr
        assert "Creating flow run for deployment 'full-sweep/full-sweep'" in typed.stdout
        run = place.latest_run()
        assert run["deployment_id"] == place.deployment()["id"] and run["parameters"] == {"experiment": "tiny"}
        ask_to_delete(place, run["id"])


def ask_to_delete(place: Place, run: str) -> None:
    assert place.typed("prefect", "--no-prompt", "flow-run", "delete", run).returncode == 0


def test_a_name_that_nobody_has_or_that_two_have_gets_prefects_own_answer(place):
    unknown = place.typed("prefect", "deployment", "run", "full-swep")
    assert unknown.returncode == 1 and "Invalid deployment name format: full-swep" in unknown.stdout + unknown.stderr
    flow = ask(place.server, "/flows/", {"name": "another"})
    ask(place.server, "/deployments/", {"name": "full-sweep", "flow_id": flow["id"], "entrypoint": "x.y"})
    ambiguous = place.typed("prefect", "deployment", "run", "full-sweep")
    assert place.typed("prefect", "--no-prompt", "deployment", "delete", "another/full-sweep").returncode == 0
    assert ambiguous.returncode == 1 and "Invalid deployment name format" in ambiguous.stdout + ambiguous.stderr


def test_without_the_plugin_prefect_is_as_it_was(place):
    typed = place.typed("prefect", "deployment", "run", "full-sweep", PREFECT_PLUGINS_ENABLED="false")
    assert typed.returncode == 1 and "Invalid deployment name format" in typed.stdout + typed.stderr


def test_a_worker_runs_what_is_typed_and_finds_in_the_store_what_is_there(place, worker):
    made = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "fake_sweep.py"), "deployed.toml"],
        cwd=place.folder,
        env=place.environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert made.returncode == 0, made.stderr
    (place.folder / "runs/deployed/report/report.html").unlink()
    experiment = json.dumps(str(place.folder / "deployed.toml"))
    typed = place.typed("prefect", "deployment", "run", "full-sweep", "-p", f"experiment={experiment}", "--watch")
    assert typed.returncode == 0, typed.stdout + typed.stderr + (place.folder / "worker.log").read_text()
    run = place.latest_run()
    assert run["state_name"] == "Completed" and run["name"].startswith("deployed 20")
    assert "effreason" in run["tags"]
    assert (place.folder / "runs/deployed/report/report.html").exists(), "it ran in the folder it was deployed for"
    assert len((place.folder / "diary").read_text().splitlines()) == 7, "and made nothing anew"
    (page,) = ask(
        place.server,
        "/artifacts/filter",
        {"artifacts": {"flow_run_id": {"any_": [run["id"]]}, "key": {"any_": ["deployed"]}}},
    )
    assert re.search(r"\(http://127.0.0.1:4280/report/[0-9a-f]{24}/report.html\)", page["data"])

    wrong = place.typed("prefect", "deployment", "run", "full-sweep", "-p", "experiment=nowhere", "--watch")
    assert wrong.returncode == 1
    assert "There is no experiment nowhere" in place.latest_run()["state"]["message"]


@pytest.mark.slow
def test_a_run_whose_worker_and_process_are_killed_together_is_marked_as_crashed_and_leaves_none_alive(place, worker):
    (place.folder / "long.toml").write_text(EXPERIMENT.replace("deployed", "long") + "[training]\nsteps = 100000\n")
    experiment = json.dumps(str(place.folder / "long.toml"))
    assert place.typed("prefect", "deployment", "run", "full-sweep", "-p", f"experiment={experiment}").returncode == 0
    run = place.latest_run()["id"]
    heard = {
        "filter": {"event": {"name": ["prefect.flow-run.heartbeat"]}, "resource": {"id": [f"prefect.flow-run.{run}"]}}
    }
    until(lambda: ask(place.server, "/events/filter", heard)["total"] > 0, 90)
    for process in of_place(place):
        os.kill(process, signal.SIGKILL)
    assert ask(place.server, f"/flow_runs/{run}")["state_name"] == "Running", "nobody is left to say otherwise"
    until(lambda: ask(place.server, f"/flow_runs/{run}")["state_name"] == "Crashed", 150)
    assert "sent no heartbeat" in ask(place.server, f"/flow_runs/{run}")["state"]["message"]
    assert of_place(place) == []


def of_place(place: Place) -> list[int]:
    """Every process that was started from there, itself or by what was: they inherit the environment."""
    mark = f"EFFREASON_DIRECTORY={place.folder}".encode()
    return [
        int(folder.name) for folder in Path("/proc").glob("[0-9]*") if alive(int(folder.name)) and has(folder, mark)
    ]


def has(process: Path, mark: bytes) -> bool:
    try:
        return mark in (process / "environ").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False
