"""Steps on a Ray cluster: two nodes with two made-up GPUs each, on this machine."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import alive, gone
from ray_cluster import ADDRESS, RayCluster, needs_ray
from traces import leased_while_waited_for, overlaps, spans

from flows.command import TERMINAL
from tasks.local.server import run_environment

SWEEP = Path(__file__).with_name("seeded_sweep.py")
EXPERIMENT = """
name = "small"
alphas = [0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35]
seeds = [0, 1, 2]
data.concise = ""
[[models]]
source = "builtin"
[runtime]
engine = """
CELLS = 24
STEPS = 2 * CELLS + 1
"""That hold a device: trainings, their measurements, and that of the base model."""


class Place:
    """A folder with an experiment, its store and the trace of its steps."""

    def __init__(self, folder: Path, engine: str) -> None:
        folder.mkdir()
        self.folder = folder
        self.trace = folder / "trace"
        self.trace.touch()
        (folder / "small.toml").write_text(EXPERIMENT + engine)

    def command(self, seconds: float) -> list[str]:
        return [sys.executable, str(SWEEP), str(self.trace), str(seconds), "small.toml", "--no-server"]

    def count(self, event: str, step: str = "") -> int:
        lines = [json.loads(line) for line in self.trace.read_text().splitlines()]
        return sum(line["event"] == event and line["label"].startswith(step) for line in lines)

    def trains_on(self, devices: set[str]) -> bool:
        """Whether a training holds one of these devices, or did until it was killed."""
        events = [json.loads(line) for line in self.trace.read_text().splitlines()]
        ended = {line["label"] for line in events if line["event"] == "end"}
        return any(
            line["event"] == "begin" and line["label"].startswith("train") and devices & set(line["devices"])
            for line in events
            if line["label"] not in ended
        )

    def holders(self) -> list[int]:
        """The numbers of the processes that hold devices, or did."""
        lines = [json.loads(line) for line in self.trace.read_text().splitlines()]
        return [int(line["label"].rpartition(" ")[2]) for line in lines if line["event"] == "begin"]

    def report(self) -> dict[str, object]:
        return json.loads((self.folder / "runs" / "small" / "report" / "report.json").read_text())

    def environment(self) -> dict[str, str]:
        """Of a flow with a temporary Prefect server, which is slow to start beside others."""
        return {
            **TERMINAL,
            **run_environment(None),
            "PREFECT_HOME": str(self.folder / "prefect"),
            "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
        }


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[RayCluster]:
    needs_ray()
    with RayCluster({"EFFREASON_LEASES": str(tmp_path / "leases")}) as cluster:
        yield cluster


# --------------------------------------------------------------------------------------------------- one small node


MOODS = {"train 0.3": "user", "train 0.4": "hang", "train 0.5": "hang"}


class RunnerProcess:
    """`ray_runner.py` on a cluster."""

    def __init__(self, cluster: RayCluster, folder: Path, *alphas: str) -> None:
        self.diary = folder / "diary"
        script = str(Path(__file__).with_name("ray_runner.py"))
        command = [sys.executable, script, ADDRESS, str(folder / f"store-{time.monotonic_ns()}"), *alphas]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = cluster.begin(command, {}, **pipes)

    def told(self, steps: int) -> dict[str, str]:
        """What became of so many steps, in the order in which they end."""
        lines = (json.loads(self.process.stdout.readline()) for _ in range(steps))
        return {line["step"]: line["outcome"] for line in lines}

    def wait_for(self, steps: int) -> list[int]:
        """Until so many steps hang; the numbers of their processes."""
        deadline = time.monotonic() + 60
        while len(pids := self._hanging()) < steps:
            assert time.monotonic() < deadline, "they did not begin"
            time.sleep(0.1)
        return pids

    def _hanging(self) -> list[int]:
        lines = self.diary.read_text().splitlines() if self.diary.exists() else []
        return [pid for pid in (int(line.split()[0]) for line in lines) if alive(pid)]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RayCluster, Path]]:
    """A cluster of one node with two GPUs, and a folder for what its steps write down."""
    needs_ray()
    folder = tmp_path_factory.mktemp("node")
    environment = {"FAKE_STEP_DIARY": str(folder / "diary"), "FAKE_STEP_MOODS": json.dumps(MOODS)}
    with RayCluster({**environment, "EFFREASON_LEASES": str(folder / "leases")}) as cluster:
        cluster.start_node([0, 1], head=True)
        yield cluster, folder


def test_steps_on_a_node_are_made_refused_and_stopped_as_they_are_here(node):
    cluster, folder = node
    runner = RunnerProcess(cluster, folder, "0.0", "0.1", "0.3", "0.4")
    outcomes = runner.told(4)
    assert outcomes == {"prepare": "made", "0": "made", "0.1": "made", "0.3": "UserError: The oven is cold."}
    (pid,) = runner.wait_for(1)
    began = time.monotonic()
    assert runner.process.communicate("stop\n", timeout=30)[0].count('"Stopped') == 1
    assert time.monotonic() - began < 10 and runner.process.returncode == 0
    assert not alive(pid)
    assert not (folder / "leases").exists(), "our own queue was not asked"


def test_the_death_of_the_flow_leaves_no_step_on_the_nodes(node):
    cluster, folder = node
    runner = RunnerProcess(cluster, folder, "0.4", "0.5")
    pids = runner.wait_for(2)
    runner.process.kill()
    assert all(gone(pid, within_seconds=10) for pid in pids)
    runner.process.communicate()


def test_an_address_where_nothing_listens_is_refused_at_once(tmp_path):
    needs_ray()
    script = str(Path(__file__).with_name("ray_runner.py"))
    command = [sys.executable, script, "127.0.0.1:1", str(tmp_path), "0.1"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    told = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert "UserError: No Ray cluster can be joined at 127.0.0.1:1 (" in told.stdout


# ------------------------------------------------------------------------------------------------------- two nodes


def begin(cluster: RayCluster, place: Place, seconds: float) -> "subprocess.Popen[str]":
    log = (place.folder / "log").open("w")
    return cluster.begin(place.command(seconds), place.environment(), cwd=place.folder, stdout=log, stderr=log)


def on_ray(folder: Path) -> Place:
    return Place(folder, f'{{ kind = "ray", address = "{ADDRESS}" }}\n')


def leased(place: Place) -> float:
    waited, held = spans(place.trace, "asked", "granted"), spans(place.trace, "granted", "returned")
    return leased_while_waited_for(list(waited.values()), list(held.values()), devices=4)


@pytest.mark.slow
@pytest.mark.parametrize("way", [signal.SIGINT, signal.SIGTERM])
def test_however_a_flow_is_ended_no_step_is_left_on_the_nodes_after_ten_seconds(node, tmp_path, way):
    cluster, _ = node
    place = on_ray(tmp_path / "ray")
    sweep = begin(cluster, place, 600)
    while len(pids := place.holders()) < 2:
        assert sweep.poll() is None, (place.folder / "log").read_text()
        time.sleep(0.5)
    began = time.monotonic()
    sweep.send_signal(way)
    code = sweep.wait(60)
    assert time.monotonic() - began < 10 and not any(alive(pid) for pid in pids)
    assert code == (130 if way == signal.SIGINT else -way) or code == 1


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_24_cells_in_steps_of_a_minute_keep_two_nodes_busy_and_no_device_has_two_of_them(cluster, tmp_path):
    cluster.start_node([0, 1], head=True)
    cluster.start_node([2, 3])
    place = on_ray(tmp_path / "ray")
    began = time.monotonic()
    assert begin(cluster, place, 60).wait(1700) == 0, (place.folder / "log").read_text()
    held = spans(place.trace, "begin", "end")
    assert len(held) == STEPS and overlaps(list(held.values())) == 0
    assert {device for span in held.values() for device in span.devices} == set("0123")
    waited = spans(place.trace, "asked", "granted")
    working = leased_while_waited_for(list(waited.values()), list(held.values()), devices=4)
    print(f"{time.monotonic() - began:.0f} s; leased {leased(place):.4f}, at work {working:.4f} while steps waited")
    assert leased(place) >= 0.9


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_node_that_is_killed_loses_no_cell_and_changes_nothing_in_the_report(cluster, tmp_path):
    cluster.start_node([0, 1], head=True)
    victim = cluster.start_node([2, 3])
    place = on_ray(tmp_path / "ray")
    sweep = begin(cluster, place, 10)
    while place.count("end", "train") < CELLS // 3 or not place.trains_on({"2", "3"}):
        assert sweep.poll() is None, (place.folder / "log").read_text()
        time.sleep(0.5)
    os.kill(victim, signal.SIGKILL)
    assert sweep.wait(1500) == 0, (place.folder / "log").read_text()
    held = spans(place.trace, "begin", "end")
    assert len(held) >= STEPS and overlaps(list(held.values())) == 0
    assert "Its node was lost; it continues on 127.0.0.1" in (place.folder / "log").read_text()
    assert place.count("resume", "train") > 0
    assert place.report() == of_one_machine(tmp_path / "single")


def of_one_machine(folder: Path) -> dict[str, object]:
    place = Place(folder, '"local"\n')
    own = {"EFFREASON_FAKE_GPUS": "4", "EFFREASON_LEASES": str(folder / "leases")}
    environment = {**os.environ, **place.environment(), **own}
    subprocess.run(place.command(0), cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    return place.report()
