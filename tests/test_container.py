"""Steps in containers, on a real Docker engine with a real S3 server: confined, told apart by their ends, and gone."""

import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engine_fixtures import no_engine, play
from prefect_fixtures import ask
from s3_server import BUCKET, SeaweedFS, seaweedfs

from effreason.artifacts import Problems
from effreason.choices import BuiltInModel, Container, FolderHome, S3Home
from effreason.errors import StepFailure, UserError
from effreason.experiment import Data, Experiment, Resources
from effreason.order import Order
from effreason.store import open_store
from tasks.ray.step_actor import Mark, Placed, StepActor
from tasks.running import engine
from tasks.running.launchers import Work
from tasks.running.launching import StepRunner, launch
from tasks.running.process import Stopped
from tasks.supervision import reaping
from tasks.supervision.owner import Owner

pytestmark = [
    pytest.mark.containers,
    pytest.mark.skipif(no_engine(), reason="no Docker engine answers; infra/start-docker.sh starts one"),
    pytest.mark.timeout(900),
]

SMALL = Path(__file__).parent / "data" / "small.toml"
STOPPING_SECONDS = 10.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    with seaweedfs(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture
def experiment(server: SeaweedFS, monkeypatch: pytest.MonkeyPatch) -> Iterator[Experiment]:
    """A name of its own for each test, by which its containers are found."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    name = f"test-{secrets.token_hex(4)}"
    yield Experiment(
        name=name,
        models=(BuiltInModel(),),
        alphas=(0.2,),
        data=Data(train_problems=20, validation_problems=5),
        store=S3Home(bucket=BUCKET, prefix=name, endpoint=server.endpoint),
        runtime=Resources(device="cpu", launcher=Container(cache="")),
    )
    with engine.engine() as client:
        for container in engine.containers(client, {"effreason.experiment": name}):
            container.remove(force=True, v=True)


def launched_by(experiment: Experiment, **choice: Any) -> Experiment:
    runtime = experiment.runtime.model_copy(update={"launcher": Container(cache="", **choice)})
    return experiment.model_copy(update={"runtime": runtime})


def prepare(experiment: Experiment) -> Problems:
    with StepRunner(experiment):
        return launch(experiment, "prepare", experiment.prepare_spec(), Problems)


def left_of(experiment: Experiment) -> list[Any]:
    with engine.engine() as client:
        return engine.containers(client, {"effreason.experiment": experiment.name})


def running_container(experiment: Experiment, within_seconds: float = 60.0) -> Any:
    """Once it has said its first word."""
    deadline = time.monotonic() + within_seconds
    while time.monotonic() < deadline:
        for container in left_of(experiment):
            if container.status == "running" and container.logs():
                return container
        time.sleep(0.2)
    raise AssertionError("no container was started")


def none_runs(experiment: Experiment, within_seconds: float) -> bool:
    deadline = time.monotonic() + within_seconds
    while time.monotonic() < deadline:
        if not any(container.status == "running" for container in left_of(experiment)):
            return True
        time.sleep(0.2)
    return False


# ------------------------------------------------------------------------------------------------ what a step may


def test_a_step_makes_its_artifact_and_tells_of_which_image_it_was_made(experiment):
    made = prepare(experiment)
    manifest = open_store(experiment.store).find(made.address)
    assert manifest is not None
    assert manifest.provenance.image.startswith("effreason/light:local@sha256:")
    assert left_of(experiment) == []


def test_an_actor_of_a_cluster_runs_it_in_a_container_of_its_node_and_leaves_none(experiment):
    dead = Owner.this_process()._replace(start="none that there is")
    labels = {engine.STEP_LABEL: "left", engine.RUN_LABEL: "", "effreason.experiment": experiment.name}
    with engine.engine() as client:
        client.containers.create("effreason/light:local", labels={**labels, **dead.labels()})
    actor = StepActor(Placed("a node", "01ab", ()), experiment.runtime.launcher, (), 0.0)
    assert left_of(experiment) == [], "of an actor that was killed"
    spec = experiment.prepare_spec()
    work, mark, over = (
        Work("prepare", Order(spec=spec, store=experiment.store), experiment.name, ""),
        Mark("first"),
        False,
    )
    while not over:
        heard = actor.heard(work, mark)
        mark, over = heard.mark, heard.over
    assert open_store(experiment.store).find(spec.address) is not None, heard.failure
    assert left_of(experiment) == []


CONFINED = """
import json, os, sys
handover = json.loads(sys.stdin.readline())
def writes(path):
    try:
        open(path + "/planted", "w").close()
        return True
    except OSError:
        return False
facts = {
    "user": os.getuid(),
    "handed": "AWS_SECRET_ACCESS_KEY" in handover["environment"],
    "hidden": "AWS_SECRET_ACCESS_KEY" not in os.environ,
    "unrelated": "UNRELATED" in handover["environment"],
    "writes": [path for path in "/ /etc /home /opt/effreason /usr /var /tmp /cache".split() if writes(path)],
    "capabilities": [line.split()[1] for line in open("/proc/self/status") if line.startswith("CapEff")],
    "privileges": [line.split()[1] for line in open("/proc/self/status") if line.startswith("NoNewPrivs")],
}
print(json.dumps({"fault": {"kind": "user", "happened": json.dumps(facts), "remedy": "-"}}))
"""


def test_a_step_is_nobody_and_can_write_to_its_scratch_alone(experiment, monkeypatch):
    monkeypatch.setenv("UNRELATED", "1")
    with pytest.raises(UserError) as raised:
        prepare(launched_by(experiment, images=play("confined", CONFINED), tag="confined"))
    facts = json.loads(raised.value.happened)
    assert facts["user"] == 10001
    assert facts["writes"] == ["/tmp"]  # noqa: S108
    assert facts["capabilities"] == ["0000000000000000"] and facts["privileges"] == ["1"]
    assert facts["handed"] and facts["hidden"] and not facts["unrelated"]


HANG = """
import os, sys, threading, time
sys.stdin.readline()
def until_stdin_closes():
    while os.read(0, 1):
        pass
    os._exit(137)
threading.Thread(target=until_stdin_closes, daemon=True).start()
print("I run", flush=True)
time.sleep(600)
"""


def test_a_secret_is_neither_in_the_configuration_nor_in_the_log_nor_in_the_artifact(experiment, server, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_planted_token")
    hanging = launched_by(experiment, images=play("hang", HANG), tag="hang")
    with StepRunner(hanging) as runner:
        thread = threading.Thread(target=until_stopped, args=(runner, hanging))
        thread.start()
        container = running_container(hanging)
        container.reload()
        told = json.dumps(container.attrs) + container.logs().decode()
    thread.join()
    made = prepare(experiment)
    manifest = open_store(experiment.store).find(made.address)
    assert manifest is not None
    for secret in (server.secret_key, "hf_planted_token"):
        assert secret not in told
        assert secret not in manifest.model_dump_json()


def until_stopped(runner: StepRunner, experiment: Experiment) -> None:
    with pytest.raises(Stopped):
        runner.artifact("prepare", experiment.prepare_spec())


def test_a_store_in_a_folder_is_written_to_without_any_network(experiment, tmp_path):
    folder = tmp_path / "store"
    folder.mkdir()
    os.chown(folder, 10001, 10001)
    for parent in [tmp_path, *tmp_path.parents[:2]]:
        parent.chmod(parent.stat().st_mode | 0o011)
    at_home = experiment.model_copy(update={"store": FolderHome(path=str(folder))})
    made = prepare(at_home)
    assert open_store(at_home.store).find(made.address) is not None


@pytest.mark.skipif(os.getuid() != 0, reason="only root has folders of root's")
def test_a_folder_of_roots_is_refused_since_no_step_is_root(experiment, tmp_path):
    with pytest.raises(UserError, match="belongs to root"):
        prepare(experiment.model_copy(update={"store": FolderHome(path=str(tmp_path / "store"))}))


# ------------------------------------------------------------------------------------------- the causes of an end


GREEDY = "import sys; sys.stdin.readline(); hoard = [bytearray(2**20) for _ in range(2**12)]"


@pytest.mark.parametrize(
    ("mood", "script", "choice", "told"),
    [
        ("greedy", GREEDY, {"memory_gib": 0.1}, "ran out of memory"),
        ("hang", HANG, {"hours": 1 / 3600}, "exceeded the launcher's `hours`"),
        ("killed", "import os, sys; sys.stdin.readline(); sys.exit(137)", {}, "killed from outside"),
        (
            "broken",
            "import sys; sys.stdin.readline(); print('half a tank', file=sys.stderr); sys.exit(3)",
            {},
            "exit code 3 .* last output: half a tank",
        ),
    ],
)
def test_a_step_that_ends_without_a_word_is_told_by_how_it_ended(experiment, mood, script, choice, told):
    with pytest.raises(StepFailure, match=told):
        prepare(launched_by(experiment, images=play(mood, script), tag=mood, **choice))
    assert left_of(experiment) == []


def test_a_mistake_of_the_users_is_theirs(experiment):
    script = (
        "import json, sys; sys.stdin.readline(); "
        "print(json.dumps({'fault': {'kind': 'user', 'happened': 'It is cold.', 'remedy': 'Light it.'}})); sys.exit(2)"
    )
    with pytest.raises(UserError, match=r"It is cold\. Light it\."):
        prepare(launched_by(experiment, images=play("user", script), tag="user"))


def test_a_missing_image_is_told_with_how_to_build_it(experiment):
    with pytest.raises(UserError, match="make images"):
        prepare(launched_by(experiment, tag="never-built"))


def test_where_no_engine_answers_the_process_launcher_is_named(experiment, monkeypatch, tmp_path):
    with monkeypatch.context() as patch:
        patch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
        with pytest.raises(UserError, match='kind = "process"'):
            prepare(experiment)


# --------------------------------------------------------------------------------- no container outlives its purpose


PARENT = """
import sys
from effreason.experiment import Experiment
from tasks.running.launching import StepRunner
experiment = Experiment.model_validate_json(sys.argv[1])
with StepRunner(experiment) as runner:
    runner.artifact("prepare", experiment.prepare_spec())
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_the_death_of_the_launcher_is_that_of_the_container(experiment, number):
    hanging = launched_by(experiment, images=play("hang", HANG), tag="hang")
    parent = subprocess.Popen([sys.executable, "-c", PARENT, hanging.model_dump_json()], stderr=subprocess.DEVNULL)
    running_container(hanging, 120)
    parent.send_signal(number)
    assert none_runs(hanging, STOPPING_SECONDS)
    parent.wait(30)
    reaping.reap(reaping.is_orphan)
    assert left_of(hanging) == []


def test_a_container_whose_owner_lives_is_no_orphan(experiment):
    hanging = launched_by(experiment, images=play("hang", HANG), tag="hang")
    with StepRunner(hanging) as runner:
        thread = threading.Thread(target=until_stopped, args=(runner, hanging))
        thread.start()
        assert not reaping.is_orphan(running_container(hanging))
    thread.join()
    assert left_of(hanging) == []


# -------------------------------------------------------------------------------------------- the whole experiment


def sweep_file(folder: Path, server: SeaweedFS, name: str, launcher: str) -> Path:
    path = folder / "sweep.toml"
    text = SMALL.read_text().replace('name = "small"', f'name = "{name}"')
    store = f'[store]\nkind = "s3"\nbucket = "{BUCKET}"\nprefix = "{name}"\nendpoint = "{server.endpoint}"\n'
    path.write_text(f"{text}\n{store}\n[runtime]\nlauncher = {launcher}\n")
    return path


def test_a_sweep_makes_every_step_in_a_container_and_a_report(experiment, server, prefect_environment, tmp_path):
    path = sweep_file(tmp_path, server, experiment.name, '{ kind = "container" }')
    done = subprocess.run(
        [sys.executable, "-m", "flows.full_sweep", str(path)],
        env=prefect_environment, cwd=tmp_path, capture_output=True, text=True, timeout=850,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "runs" / experiment.name / "report" / "report.html").exists()
    store = open_store(experiment.store)
    manifests = [manifest for manifest in map(store.find, store.addresses()) if manifest is not None]
    images = {manifest.spec.step: str(manifest.provenance.image) for manifest in manifests}
    assert {step: image.partition(":")[0] for step, image in images.items()} == {
        "prepare": "effreason/light", "train": "effreason/train",
        "evaluate": "effreason/train", "report": "effreason/light",
    }  # fmt: skip
    assert left_of(experiment) == []


def test_cancelling_in_the_ui_ends_the_container_within_ten_seconds(
    experiment, server, prefect_server, prefect_environment, tmp_path
):
    images = play("hang", HANG)
    launcher = f'{{ kind = "container", images = "{images}", tag = "hang" }}'
    path = sweep_file(tmp_path, server, experiment.name, launcher)
    sweep = subprocess.Popen(
        [sys.executable, "-m", "flows.full_sweep", str(path)], env=prefect_environment, cwd=tmp_path,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    run = running_container(experiment, 240).labels[engine.RUN_LABEL]
    ask(prefect_server, f"/flow_runs/{run}/set_state", {"state": {"type": "CANCELLING"}})
    assert none_runs(experiment, STOPPING_SECONDS)
    assert sweep.wait(120) != 0
    assert left_of(experiment) == []
