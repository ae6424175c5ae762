"""Every command on deployments in the documentation, read out of it and typed as it stands there.

The stack in containers, `make up` and what goes with it, is for test_compose.py.
"""

import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from prefect_fixtures import ask
from processes import alive
from test_deployments import BIN, ROOT, Place, until

from tasks.local.server import Server

PAGES = ("README.md", "docs/deployment.md", "docs/nightly.md")
LINE = re.compile(r"^ {4}((?:\S*/)?(?:make (?:deploy|worker)|prefect) ?.*?)(?: +#.*)?$", re.MULTILINE)
SPAN = re.compile(r"`((?:\S*/)?(?:make (?:deploy|worker)|prefect deployment) ?[^`]*)`")

ALTERNATIVE = re.compile(r"^ {4}(\S*prefect deployment run )\S+ +# or (\S+)$", re.MULTILINE)


def commands() -> list[str]:
    """In the order in which they are read, each once."""
    texts = [(ROOT / page).read_text(encoding="utf-8") for page in PAGES]
    found = [match[1].strip() for text in texts for pattern in (LINE, SPAN) for match in pattern.finditer(text)]
    others = [match[1] + match[2] for text in texts for match in ALTERNATIVE.finditer(text)]
    return list(dict.fromkeys([*found, *others]))


TYPED = [command for command in commands() if "prefect" in command]


def in_a_shell(place: Place, command: str) -> list[str]:
    """The command for bash, with the reader's own things in the place of those that the page makes up."""
    schedule = place.deployment()["schedules"][0]["id"] if "full-sweep" in command else nightly(place)
    named = command.replace("/path/on/the/worker/mine.toml", str(place.folder / "deployed.toml"))
    # The environment that the tests run in is ready, and is not set up again.
    typed = named.replace("SCHEDULE-ID", schedule).replace("make ", f"make -o .venv/ready BIN={BIN} ")
    return ["bash", "-c", typed.replace(".venv/bin/prefect", str(BIN / "prefect"))]


def nightly(place: Place) -> str:
    schedule: str = ask(place.server, "/deployments/name/nightly/nightly")["schedules"][0]["id"]
    return schedule


def as_typed(place: Place, command: str) -> subprocess.CompletedProcess[str]:
    environment = {**place.environment, "PATH": f"{BIN}:{os.environ['PATH']}"}
    return subprocess.run(
        in_a_shell(place, command), cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )


@pytest.fixture(scope="module")
def place(prefect_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(prefect_server, tmp_path_factory.mktemp("typed"))
    place.deploy()
    return place


@pytest.fixture(autouse=True)
def nothing_left_to_run(place: Place) -> Iterator[None]:
    yield
    until(lambda: withdrawn(place), 60)


def withdrawn(place: Place) -> bool:
    """Delete what is scheduled; False where the server is too busy."""
    try:
        for run in ask(place.server, "/flow_runs/filter", {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}):
            request = urllib.request.Request(f"{place.server.api}/flow_runs/{run['id']}", method="DELETE")  # noqa: S310
            urllib.request.urlopen(request, timeout=30).close()  # noqa: S310
    except urllib.error.HTTPError:
        return False
    return True


def test_the_documentation_has_the_commands_that_people_look_for():
    assert {"make deploy", "make worker", ".venv/bin/prefect deployment run full-sweep"} <= set(commands())
    assert any("deployment run evaluate" in command for command in TYPED)
    assert {"ls", "resume", "pause"} <= {command.split()[3] for command in TYPED if "deployment schedule" in command}
    assert ".venv/bin/prefect deployment run full-sweep/full-sweep" in commands()


@pytest.mark.parametrize("command", TYPED)
def test_a_command_of_the_documentation_works_as_it_stands_there(place, command):
    before = {run["id"] for run in runs(place)}
    done = as_typed(place, command)
    assert done.returncode == 0, done.stdout + done.stderr
    if " run " not in command:
        return
    (begun,) = [run for run in runs(place) if run["id"] not in before]
    name = command.split(" run ")[1].split()[0].partition("/")[0]
    assert f"Creating flow run for deployment '{name}/{name}'" in done.stdout
    given = re.search(r"-p experiment=(\S+)", in_a_shell(place, command)[2])
    assert begun["parameters"]["experiment"] == (given[1] if given else "tiny")


def runs(place: Place) -> list[dict[str, Any]]:
    asked_for: list[dict[str, Any]] = ask(place.server, "/flow_runs/filter", {"sort": "EXPECTED_START_TIME_DESC"})
    return [run for run in asked_for if not run["auto_scheduled"]]


def test_make_deploy_says_what_it_registers(place):
    done = as_typed(place, "make deploy")
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("full-sweep", "nightly", "evaluate"):
        assert f"The deployment {name}/{name} is registered." in done.stdout


def test_make_worker_runs_what_is_asked_for_until_ctrl_c(place):
    """A sweep and a measurement whose steps are in the store, by their bare names."""
    environment = {**place.environment, "PATH": f"{BIN}:{os.environ['PATH']}"}
    made = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "fake_sweep.py"), "deployed.toml"],
        cwd=place.folder, env=place.environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    with (place.folder / "worker.log").open("wb") as log:
        worker = subprocess.Popen(
            in_a_shell(place, "make worker"), cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    mine = place.folder / "deployed.toml"
    try:
        for command in (f"full-sweep -p experiment={mine}", f"evaluate -p experiment={mine} -p model=reasoner"):
            done = as_typed(place, f"prefect deployment run {command} --watch")
            assert done.returncode == 0, done.stdout + done.stderr + (place.folder / "worker.log").read_text()
    finally:
        os.killpg(worker.pid, signal.SIGINT)
        worker.wait(60)
    until(lambda: not alive(worker.pid), 5)
    (measured,) = [run for run in runs(place) if run["name"].startswith("reasoner on deployed ")]
    assert {"effreason", "measurement", "deployed"} <= set(measured["tags"])
    of_run = {"flow_runs": {"id": {"any_": [measured["id"]]}}}
    shown = {artifact["key"]: artifact["data"] for artifact in ask(place.server, "/artifacts/filter", of_run)}
    assert {"deployed-dashboard", "deployed-measured-reasoner"} <= set(shown)
    assert "| evaluate reasoner | 1 |" in shown["deployed-dashboard"].partition("## Cost")[2]
