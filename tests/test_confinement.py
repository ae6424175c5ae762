"""What a step in a container may reach and know, and what is told of one whose engine died: without an engine."""

import json
import socket
from contextlib import nullcontext
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import pytest
from requests.exceptions import ConnectionError as EngineIsAway

from effreason.choices import BuiltInModel, Container, FolderHome, Home, S3Home, VllmServer
from effreason.errors import StepFailure
from effreason.experiment import Experiment
from effreason.order import Order
from effreason.specs import Protocol
from effreason.workbench import Runtime
from tasks.running import engine
from tasks.running.confinement import confinement
from tasks.running.container import RunningContainer, _handover, _removed
from tasks.running.launchers import Work

ELSEWHERE = S3Home(bucket="bucket", endpoint="https://s3.example")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "HF_ENDPOINT", "MLFLOW_TRACKING_URI", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def order(store: Home, engine: VllmServer | None = None, tracker: str | None = None) -> Order:
    protocol = Protocol(engine=engine) if engine else Protocol()
    experiment = Experiment(name="small", models=(BuiltInModel(),), alphas=(0.2,), evaluation=protocol)
    spec = experiment.evaluate_spec(experiment.models[0], None, experiment.prepare_spec().address)
    return Order(spec=spec, store=store, runtime=Runtime(report_to=(tracker,) if tracker else ()))


def network(order: Order) -> str | None:
    return confinement(Container(), order).network


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FolderHome:
    monkeypatch.setattr("tasks.running.confinement._owner", lambda folder: "10001:10001")
    return FolderHome(path=str(tmp_path))


def test_only_a_server_on_loopback_that_the_step_asks_puts_it_on_the_network_of_the_machine(folder, monkeypatch):
    assert network(order(folder)) == "none" and network(order(ELSEWHERE)) is None
    assert network(order(ELSEWHERE.model_copy(update={"endpoint": "http://127.0.0.1:9000"}))) == "host"
    assert network(order(ELSEWHERE, VllmServer())) == "host", "whose usual address is on loopback"
    assert network(order(folder, VllmServer(url="http://10.0.0.7:8000"))) is None
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localhost:9000")
    assert network(order(S3Home(bucket="bucket"))) == "host"
    assert network(order(folder, VllmServer(url="http://10.0.0.7:8000"))) is None, "it has no business with S3"


def test_a_tracker_on_loopback_counts_where_the_step_reports_to_it(folder, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert network(order(folder, tracker="mlflow")) == "host" and network(order(folder, tracker="wandb")) is None


def test_what_leads_to_files_of_the_host_is_not_passed_on(folder, monkeypatch):
    passed = {"AWS_SECRET_ACCESS_KEY": "/starts+with/a/slash", "HF_TOKEN": "t", "HF_HUB_OFFLINE": "1"}
    kept = {
        **dict.fromkeys(("AWS_CONFIG_FILE", "AWS_CA_BUNDLE", "AWS_PROFILE", "WANDB_CACHE_DIR", "WANDB_DIR"), "x"),
        **dict.fromkeys(("HF_HOME", "HF_DATASETS_CACHE", "HF_XET_CACHE", "HF_TOKEN_PATH", "PATH_OF_MINE"), "x"),
    }
    for name, value in (passed | kept).items():
        monkeypatch.setenv(name, value)
    work = Work("prepare", order(folder), "small", "run")
    told = json.loads(_handover(work, confinement(Container(), work.order)))["environment"]
    assert passed.items() <= told.items() and not kept.keys() & told.keys()


def away(*_: object, **__: object) -> None:
    raise EngineIsAway


class Reset(socket.socket):
    """The engine's end of it has been killed."""

    def recv(self, *_: object) -> bytes:
        raise ConnectionResetError


def test_a_step_whose_engine_died_is_tried_again_and_its_container_left_to_the_janitor():
    ours, engines = socket.socketpair()
    engines.close()
    container = SimpleNamespace(wait=away, reload=away, remove=away, stop=away, kill=away, short_id="abc", id="abc")
    with Reset(fileno=ours.detach()) as pipe:
        running = RunningContainer("train x", container, pipe, None)
        assert list(running.lines(Event())) == []
    failure = running.failure()
    assert isinstance(failure, StepFailure) and "was lost" in failure.happened
    _removed(container)


def test_an_engine_that_dies_while_it_is_asked_does_not_say_what_runs_on_a_gpu(monkeypatch):
    monkeypatch.setattr(engine, "engine", nullcontext)
    running = [SimpleNamespace(status=status) for status in ("running", "exited", "running")]
    monkeypatch.setattr(engine, "containers", lambda client, labels: running)
    assert engine.occupied("GPU-1") == 2
    monkeypatch.setattr(engine, "containers", away)
    with pytest.raises(StepFailure, match="does not report what runs on the GPU GPU-1"):
        engine.occupied("GPU-1")
