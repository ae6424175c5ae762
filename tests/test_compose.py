"""docker-compose.yml: what it may do, read by both versions of Compose, and the stack brought up for real."""

import json
import os
import re
import secrets
import shutil
import stat
import subprocess
import sys
import tomllib
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from s3_server import free_ports
from test_deployments import until

from effreason.leasing.folder import USUAL, leases_folder
from effreason.leasing.lease_table import LeaseTable
from tasks.notify import NOTIFY, notify
from tasks.settings import LOG_FORMAT, METRICS_HOST, METRICS_PORT, logs_as_json

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docker-compose.yml").read_text()
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["services"]
ONCE = {"bucket", "deployments", "minio-users"}
MADE = {"POSTGRES_PASSWORD", *(f"S3_{user}{part}" for user in ("", "ROOT_", "READER_") for part in ("KEY", "SECRET"))}
"""The settings that each installation has its own of."""


# ------------------------------------------------------------------------------------------------- what is written


def test_every_port_is_open_on_loopback_alone():
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert len(ports) == 2 and all(port.startswith("127.0.0.1:") for port in ports)


def test_only_a_worker_gets_the_docker_socket_and_the_store_leads_nowhere():
    with_socket = {name for name, service in SERVICES.items() if "docker.sock" in str(service.get("volumes", ""))}
    assert with_socket == {"worker", "worker-gpu"}
    assert yaml.safe_load(TEXT)["networks"]["store"]["internal"] == "${STORE_NETWORK_INTERNAL:-true}"
    for name in ("minio", "seaweedfs", "bucket", "minio-users"):
        assert set(SERVICES[name]["networks"]) == {"store"}


def test_every_service_is_confined_and_those_that_are_not_done_once_are_started_again():
    for name, service in SERVICES.items():
        assert service["cap_drop"] == ["ALL"] and service["security_opt"] == ["no-new-privileges:true"], name
        assert service["restart"] == (
            {"minio-users": "on-failure:10"}.get(name, "no") if name in ONCE else "unless-stopped"
        )


def test_gpus_are_reserved_by_the_way_that_both_versions_heed():
    """Compose v1 refuses `gpus:`, and 2.26 takes it and gives none."""
    assert all("gpus" not in service for service in SERVICES.values())
    (device,) = SERVICES["worker-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["driver"] == "nvidia" and "gpu" in device["capabilities"]
    assert (SERVICES["worker"]["profiles"], SERVICES["worker-gpu"]["profiles"]) == (["cpu"], ["gpu"])


def test_every_setting_is_in_the_example_and_no_secret_has_a_value_there():
    example = (ROOT / ".env.example").read_text()
    for name in set(re.findall(r"\$\{([A-Z0-9_]+)", TEXT)):
        assert re.search(rf"^#?{name}=", example, re.MULTILINE), name
    secret = dict(re.findall(r"^(\w*(?:SECRET|PASSWORD|TOKEN|KEY))=(.*)$", example, re.MULTILINE))
    assert secret == dict.fromkeys({"HF_TOKEN", *MADE}, "")
    assert ".env" in (ROOT / ".gitignore").read_text().split()
    kept_out = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in kept_out and not any(line.startswith("!.") for line in kept_out)


def test_a_worker_knows_whom_to_tell_of_a_night_that_failed_and_that_may_be_nobody(monkeypatch):
    for name in ("worker", "worker-gpu"):
        assert SERVICES[name]["environment"][NOTIFY] == "${EFFREASON_NOTIFY:-}"
    monkeypatch.setenv(NOTIFY, "")
    notify(None, None, None)  # type: ignore[arg-type]  # nothing is asked of them


def test_the_settings_of_logs_and_metrics_reach_a_worker_and_the_port_is_open_on_loopback_alone():
    added = yaml.safe_load((ROOT / "infra/compose/metrics.yml").read_text())["services"]
    assert set(added) == {"worker", "worker-gpu"}
    example = (ROOT / ".env.example").read_text().splitlines()
    assert {"#COMPOSE_FILE=docker-compose.yml:infra/compose/metrics.yml", "#METRICS_PORT=9464"} < set(example)
    for name, service in added.items():
        assert SERVICES[name]["environment"][LOG_FORMAT] == "${EFFREASON_LOG_FORMAT:-}"
        assert not SERVICES[name].get("ports") and METRICS_PORT not in SERVICES[name]["environment"]
        assert service == {
            "environment": {METRICS_HOST: "0.0.0.0", METRICS_PORT: "9464"},  # noqa: S104  of the container
            "ports": ["127.0.0.1:${METRICS_PORT:-9464}:9464"],
        }


def test_an_empty_log_format_is_text(monkeypatch):
    monkeypatch.setenv(LOG_FORMAT, "")
    assert not logs_as_json()


def test_a_worker_keeps_its_leases_where_the_runs_of_the_machine_keep_theirs():
    """In the folder above it, which is made anew with the machine's start, before any container is."""
    for name in ("worker", "worker-gpu"):
        assert "${LOCKS:-/run/lock}:/run/lock" in SERVICES[name]["volumes"]
        assert SERVICES[name]["environment"]["EFFREASON_LEASES"] == "/run/lock/${LEASES:-effreason}"
    assert USUAL[0] == Path("/run/lock/effreason")


# ------------------------------------------------------------------------------------------------------- settings


def settings(folder: Path) -> dict[str, str]:
    """Those of .env after `make up` has seen to it."""
    command = [sys.executable, str(ROOT / "infra/compose/settings.py")]
    subprocess.run(command, cwd=folder, check=True)
    lines = (folder / ".env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if re.match(r"[A-Z]", line))


def test_settings_are_made_once_with_secrets_of_their_own_for_their_owner_alone(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
        shutil.copy(ROOT / ".env.example", folder)
    made, elsewhere = settings(one), settings(other)
    assert stat.S_IMODE((one / ".env").stat().st_mode) == 0o600
    secret = {name for name, value in made.items() if elsewhere[name] != value}
    assert secret == MADE
    assert len({made[name] for name in secret}) == len(secret)
    assert all(len(made[name]) == (16 if name.endswith("KEY") else 40) for name in secret)
    before = (one / ".env").read_text()
    assert settings(one) == made and (one / ".env").read_text() == before


def test_settings_that_a_person_has_changed_or_added_stay(tmp_path):
    shutil.copy(ROOT / ".env.example", tmp_path)
    (tmp_path / ".env").write_text("UI_PORT=4300\nS3_KEY=mine\nMINIO_IMAGE=ours/minio\n")
    made = settings(tmp_path)
    assert (made["UI_PORT"], made["S3_KEY"], made["MINIO_IMAGE"]) == ("4300", "mine", "ours/minio")
    assert made["POSTGRES_PASSWORD"] and settings(tmp_path) == made


def test_the_folder_of_the_leases_is_that_of_runs_outside_of_containers(tmp_path, monkeypatch):
    monkeypatch.setenv("EFFREASON_LEASES", str(tmp_path / "locks" / "ours"))
    (tmp_path / "locks").mkdir()
    shutil.copy(ROOT / ".env.example", tmp_path)
    made = settings(tmp_path)
    assert Path(made["LOCKS"]) / made["LEASES"] == leases_folder()
    assert stat.S_IMODE(leases_folder().stat().st_mode) == 0o1777


HOLD = """
import threading, time
from effreason.leasing.device_queue import DeviceQueue
from effreason.leasing.folder import leases_folder
from effreason.leasing.lease_table import LeaseTable
from effreason.leasing.records import Claim, Holder, Ticket
holder = Holder(user="worker", process=1, experiment="inside", step="train", flow_run="")
ticket = Ticket(holder=holder, claim=Claim(parts={"GPU-a": 1.0}))
with DeviceQueue(LeaseTable(leases_folder())).take(ticket, threading.Event()):
    time.sleep(600)
"""


@pytest.mark.containers
def test_a_lease_in_a_container_holds_outside_of_it_and_ends_with_it(tmp_path):
    tmp_path.chmod(0o1777)
    name = f"test-{secrets.token_hex(4)}"
    confined = ("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--user", "10001", "--network", "none")  # noqa: S108
    shared = ("--volume", f"{tmp_path}:/run/lock", "--env", "EFFREASON_LEASES=/run/lock/effreason")
    command = ("docker", "run", "--rm", "--name", name, *confined, *shared, "--entrypoint", "python")
    inside = subprocess.Popen([*command, "effreason/light:local", "-c", HOLD])
    held = LeaseTable(tmp_path / "effreason")
    try:
        until(lambda: (tmp_path / "effreason" / "leases").is_dir() and any(held.leases()), 60)
        (lease,) = held.leases()
        assert (lease.holder.experiment, lease.parts) == ("inside", {"GPU-a": 1.0})
    finally:
        subprocess.run(["docker", "kill", name], check=True, stdout=subprocess.DEVNULL)
        inside.wait(30)
    until(lambda: not any(held.leases()), 5)


# ------------------------------------------------------------------------------------------- both versions of Compose


@pytest.fixture(scope="session")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for DOCKER_CONFIG with Compose v2; fetched once for all runs."""
    folder = ROOT / "build" / "compose"
    if not (folder / "cli-plugins" / "docker-compose").exists():
        subprocess.run([str(ROOT / "infra/get-compose.sh"), str(folder)], check=True)
    return folder


@pytest.mark.containers
@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("profiles", ["minio,cpu", "minio,gpu", "seaweedfs,cpu", "seaweedfs,gpu"])
def test_both_versions_of_compose_read_it_alike(version, profiles, plugins, tmp_path):
    if version == "v1" and shutil.which("docker-compose") is None:
        pytest.skip("needs Debian's docker-compose")
    shutil.copy(ROOT / ".env.example", tmp_path)
    made = settings(tmp_path)
    command = ["docker-compose"] if version == "v1" else ["docker", "compose"]
    read = subprocess.run(
        [*command, "--env-file", str(tmp_path / ".env"), "--file", str(ROOT / "docker-compose.yml"), "config"],
        env={**os.environ, "DOCKER_CONFIG": str(plugins), "COMPOSE_PROFILES": profiles},
        capture_output=True,
        text=True,
        check=True,
    )
    services, networks = (yaml.safe_load(read.stdout)[part] for part in ("services", "networks"))
    expected = {
        name
        for name, service in SERVICES.items()
        if set(service.get("profiles", profiles.split(","))) & set(profiles.split(","))
    }
    assert expected <= set(services), "v1 lists those of every profile"
    assert version == "v1" or set(services) == expected
    assert services["server"]["depends_on"]["postgres"]["condition"] == "service_healthy"
    for worker in {"worker", "worker-gpu"} & expected:
        assert services[worker]["depends_on"]["deployments"]["condition"] == "service_completed_successfully"
        assert services[worker]["environment"]["EFFREASON_STORE"] == "s3://effreason/sweeps"
        launcher = json.loads(services[worker]["environment"]["EFFREASON_LAUNCHER"])
        assert launcher["network"] == networks["store"]["name"]
        assert services[worker]["environment"]["EFFREASON_LEASES"] == f"/run/lock/{made['LEASES']}"
        assert (made["LOCKS"], "/run/lock") in {mounted(volume) for volume in services[worker]["volumes"]}
    assert networks["store"]["internal"] is True
    if "worker-gpu" in expected:
        assert services["worker-gpu"]["deploy"]["resources"]["reservations"]["devices"][0]["driver"] == "nvidia"


@pytest.mark.containers
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_both_versions_of_compose_open_the_port_of_the_metrics_where_it_is_wanted(version, plugins, tmp_path):
    if version == "v1" and shutil.which("docker-compose") is None:
        pytest.skip("needs Debian's docker-compose")
    example = (ROOT / ".env.example").read_text()
    wanted = re.sub(r"^#(COMPOSE_FILE=|METRICS_PORT=)", r"\1", example, flags=re.MULTILINE)
    (tmp_path / ".env").write_text(wanted.replace("METRICS_PORT=9464", "METRICS_PORT=9555"))
    shutil.copy(ROOT / ".env.example", tmp_path)
    made = settings(tmp_path)
    command = ["docker-compose"] if version == "v1" else ["docker", "compose"]
    read = subprocess.run(
        [*command, "config"],
        cwd=ROOT,
        env={**os.environ, **made, "DOCKER_CONFIG": str(plugins)},
        capture_output=True,
        text=True,
        check=True,
    )
    worker = yaml.safe_load(read.stdout)["services"]["worker"]
    (port,) = worker["ports"]
    if isinstance(port, dict):
        port = f"{port['host_ip']}:{port['published']}:{port['target']}"
    assert port.removesuffix("/tcp") == "127.0.0.1:9555:9464"
    assert worker["environment"][METRICS_PORT] == "9464" and worker["environment"]["EFFREASON_NOTIFY"] == ""


def mounted(volume: str | dict[str, Any]) -> tuple[str, str]:
    """What where, in the short form of v1 or the long one of v2."""
    if isinstance(volume, dict):
        return volume["source"], volume["target"]
    source, target = volume.split(":")[:2]
    return source, target


# ------------------------------------------------------------------------------------------------ brought up for real


class Stack:
    """The stack on SeaweedFS under a name and at ports of its own, from images that are built here."""

    def __init__(self, folder: Path, plugins: Path) -> None:
        shutil.copy(ROOT / ".env.example", folder)
        self.name = f"test-{secrets.token_hex(4)}"
        ui, artifacts = free_ports(2)
        locks = folder / "locks"
        locks.mkdir()
        locks.chmod(0o1777)
        self.api, self.artifacts = f"http://127.0.0.1:{ui}/api", f"http://127.0.0.1:{artifacts}"
        base = "effreason/base:local"
        self.settings = settings(folder) | {
            "COMPOSE_PROFILES": "seaweedfs,cpu",
            "COMPOSE_PROJECT_NAME": self.name,
            "LOCKS": str(locks),
            "LEASES": "effreason",
            "STORE_NETWORK": f"{self.name}-store",
            "UI_PORT": str(ui),
            "ARTIFACTS_PORT": str(artifacts),
            "POSTGRES_IMAGE": "effreason/postgres:local",
            "BASE": base,
        }
        self.environment = {**os.environ, **self.settings, "DOCKER_CONFIG": str(plugins)}
        self.run("infra/base-image.sh", base)
        postgres = ("-f", "images/postgres.Dockerfile", "--build-arg", f"BASE={base}", "-t", "effreason/postgres:local")
        self.run("docker", "build", "--quiet", *postgres, ".")
        self.run("infra/images.sh", "light", "train")
        self.compose("build", "--quiet")

    def run(self, *command: str) -> str:
        done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    def compose(self, *words: str) -> str:
        return self.run("docker", "compose", "--file", "docker-compose.yml", *words)

    def ask(self, path: str, body: dict[str, Any]) -> Any:
        request = urllib.request.Request(  # noqa: S310
            self.api + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return json.load(answer)


@pytest.fixture(scope="module")
def stack(plugins: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("stack"), plugins)
    try:
        stack.compose("up", "--detach")
        yield stack
    finally:
        stack.compose("down", "--volumes", "--timeout", "5")


@pytest.mark.containers
@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_the_stack_comes_up_in_order_runs_an_experiment_in_containers_and_shows_its_report(stack):
    experiment = (ROOT / "tests/data/small.toml").read_text()
    form = json.dumps(tomllib.loads(experiment))
    words = ("prefect", "deployment", "run", "full-sweep/full-sweep", "-p", f"experiment={form}", "--watch")
    stack.compose("exec", "-T", "server", *words)
    (page,) = stack.ask("/artifacts/filter", {"artifacts": {"key": {"any_": ["small"]}}})
    (link,) = re.findall(r"\(http://127.0.0.1:\d+(/report/[0-9a-f]{24}/report.html)\)", page["data"])
    with urllib.request.urlopen(stack.artifacts + link, timeout=60) as report:  # noqa: S310
        assert b"<html" in report.read() and "sandbox" in report.headers["Content-Security-Policy"]
    left = stack.run("docker", "ps", "--all", "--quiet", "--filter", f"network={stack.name}-store")
    assert len(left.split()) == len({"seaweedfs", "bucket", "worker", "artifacts"}), "no container of a step is left"
