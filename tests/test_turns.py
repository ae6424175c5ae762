"""Turns: each step has its own share of the machine, whatever else runs on it."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from traces import leased_while_waited_for, overlaps, spans

from effreason.choices import BuiltInModel, Engine, Vllm, VllmServer
from effreason.errors import UserError
from effreason.experiment import Experiment, Resources
from effreason.leasing.folder import leases_folder
from effreason.leasing.lease_table import LeaseTable
from effreason.leasing.records import CORES
from effreason.specs import EvaluateSpec, Spec
from tasks.running.process import Stopped
from tasks.running.turns import Turns

SWEEP = Experiment(name="small", models=(BuiltInModel(),), alphas=(0.2,))
KEY = next(SWEEP.cells())
ADDRESS = SWEEP.prepare_spec().address
TRAINING = SWEEP.train_spec(KEY, ADDRESS)
MEASUREMENT = SWEEP.evaluate_spec(KEY.model, None, ADDRESS)
CELL = SWEEP.cell(KEY, TRAINING.address, MEASUREMENT.address, MEASUREMENT.address)
ROOT = Path(__file__).parent.parent
FLOW_RUN = Path(__file__).with_name("fake_flow_run.py")


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of one with four GPUs and a queue of its own."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("tasks.running.turns.usable_cores", lambda: 8)
    environment = {"EFFREASON_LEASES": str(tmp_path / "leases"), "EFFREASON_FAKE_GPUS": "4"}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return environment


@pytest.fixture
def taken() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def soon(answer: threading.Event) -> bool:
    return answer.wait(5)


class Waiting(threading.Thread):
    """A step that waits for its turn and gives it back as soon as it has it."""

    def __init__(self, turns: Turns, spec: Spec | None = None) -> None:
        super().__init__()
        self.had = threading.Event()
        self.stopped = threading.Event()
        self.told: list[str] = []
        self._turns, self._spec = turns, spec or MEASUREMENT
        self.start()
        time.sleep(0.2)

    def run(self) -> None:
        try:
            with self._turns.take("another", self._spec, self.told.append):
                self.since = time.monotonic()
                self.had.set()
        except Stopped:
            self.stopped.set()


# ---------------------------------------------------------------------------------------------------- one flow run


def test_a_step_sees_its_own_gpus_alone_and_as_many_as_it_makes_use_of(taken):
    turns = Turns(Resources(processes=2))
    training = taken.enter_context(turns.take("t", TRAINING))
    measurement = taken.enter_context(turns.take("e", MEASUREMENT))
    assert training.devices == ("FAKE-0", "FAKE-1")
    assert training.environment == {"CUDA_VISIBLE_DEVICES": "FAKE-0,FAKE-1"}
    assert measurement.devices == ("FAKE-2",)
    assert turns.runtime.threads == 2, "8 cores for 2 trainings of 2 processes"


def test_a_step_that_loads_no_model_waits_for_no_gpu_and_sees_none(taken):
    turns = Turns(Resources())
    for number in range(4):
        taken.enter_context(turns.take(str(number), TRAINING))
    for spec in (SWEEP.prepare_spec(), SWEEP.report_spec((CELL,), ADDRESS)):
        share = taken.enter_context(turns.take("light", spec))
        assert (share.devices, share.environment) == ((), {"CUDA_VISIBLE_DEVICES": ""})


def test_two_steps_share_a_gpu_where_the_experiment_says_so(taken):
    halves = Turns(Resources(gpu_share=0.5))
    shares = [taken.enter_context(halves.take(str(number), MEASUREMENT)) for number in range(8)]
    assert [share.devices for share in shares] == [(f"FAKE-{number // 2}",) for number in range(8)]
    assert halves.runtime.threads == 1
    waiting = Waiting(halves)
    assert not waiting.had.is_set()
    taken.close()
    assert soon(waiting.had)


def test_two_steps_share_a_gpu_also_where_a_launcher_says_what_runs_on_it(monkeypatch, taken):
    monkeypatch.setenv("EFFREASON_FAKE_GPUS", "1")
    running = 0
    halves = Turns(Resources(gpu_share=0.5), occupied=lambda gpu: running)
    for running in range(2):
        waiting = threading.Timer(5, halves.stop)
        waiting.start()
        assert taken.enter_context(halves.take(str(running), MEASUREMENT)).devices == ("FAKE-0",)
        waiting.cancel()


def test_a_share_by_memory_is_as_large_as_each_gpu_makes_it(monkeypatch, taken):
    sizes = [{"uuid": name, "memory": gib << 30} for name, gib in (("small", 8), ("middle", 24), ("large", 80))]
    monkeypatch.setenv("EFFREASON_FAKE_GPUS", json.dumps(sizes))
    turns = Turns(Resources(gpu_memory_gib=20))
    devices = [taken.enter_context(turns.take(str(number), MEASUREMENT)).devices for number in range(5)]
    assert devices == [("middle",), *[("large",)] * 4]


def test_a_training_that_never_fits_is_refused_before_anything_runs(monkeypatch):
    with pytest.raises(UserError, match="needs 5 GPUs at once, and 4 can be used"):
        Turns(Resources(processes=5))
    with pytest.raises(UserError, match="needs 1 GPUs of 100 GiB at once, and 0 can be used"):
        Turns(Resources(gpu_memory_gib=100))
    with (
        pytest.raises(UserError, match=r"needs 8 GPUs .* `tensor_parallel`"),
        Turns(Resources()).take("e", by(Vllm(tensor_parallel=8))),
    ):
        pass


def by(engine: Engine) -> EvaluateSpec:
    return MEASUREMENT.model_copy(update={"protocol": SWEEP.evaluation.model_copy(update={"engine": engine})})


def test_an_engine_gets_the_gpus_that_it_splits_its_layers_over_and_a_server_has_its_own(taken):
    turns = Turns(Resources())
    assert len(taken.enter_context(turns.take("e", by(Vllm(tensor_parallel=3)))).devices) == 3
    assert taken.enter_context(turns.take("s", by(VllmServer()))).devices == ()


def test_two_measures_of_a_share_are_refused():
    with pytest.raises(ValueError, match="leave one of them out"):
        Resources(gpu_share=0.5, gpu_memory_gib=8)


def test_no_more_run_side_by_side_than_the_experiment_allows(taken):
    turns = Turns(Resources(parallel=1))
    first = taken.enter_context(turns.take("t", TRAINING))
    waiting = Waiting(turns)
    assert first.devices and not waiting.had.is_set()
    assert list(LeaseTable(leases_folder()).queue()) == [], "it asks for nothing that it may not have"
    taken.close()
    assert soon(waiting.had)


@pytest.mark.parametrize("parallel", [None, 1])
def test_whoever_waits_when_all_is_over_hears_of_it_at_once(parallel, taken):
    turns = Turns(Resources(parallel=parallel))
    for number in range(parallel or 4):
        taken.enter_context(turns.take(str(number), TRAINING))
    waiting = [Waiting(turns) for _ in range(3)]
    began = time.monotonic()
    turns.stop()
    assert all(soon(one.stopped) for one in waiting)
    assert time.monotonic() - began < 0.5
    assert list(LeaseTable(leases_folder()).queue()) == []
    taken.close()
    turns.wait_until_idle()


# ------------------------------------------------------------------------------------ several flow runs, one machine


@pytest.mark.parametrize("gpus", [0, 4])
def test_two_flow_runs_do_not_have_the_same_share(monkeypatch, taken, gpus):
    monkeypatch.setenv("EFFREASON_FAKE_GPUS", str(gpus))
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    one, other = Turns(Resources()), Turns(Resources())
    shares = [taken.enter_context(turns.take("t", TRAINING)) for turns in (one, other, one, other)]
    assert sorted(share.devices for share in shares) == [(f"FAKE-{number}",) for number in range(4) if gpus] or not gpus
    waiting = [Waiting(one), Waiting(other)]
    assert not any(step.had.is_set() for step in waiting)
    taken.close()
    assert all(soon(step.had) for step in waiting)


def test_first_come_is_first_served_across_flow_runs(monkeypatch, taken):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    one, other = Turns(Resources()), Turns(Resources())
    taken.enter_context(one.take("t", TRAINING))
    waiting = [Waiting(turns) for turns in (other, one, one, other, other, one)]
    taken.close()
    assert all(soon(step.had) for step in waiting)
    assert sorted(waiting, key=lambda step: step.since) == waiting


def test_who_waits_for_long_is_told_once_for_whom(monkeypatch, tmp_path):
    monkeypatch.setattr("effreason.leasing.device_queue.PATIENCE_SECONDS", 0.1)
    (tmp_path / "trace").touch()
    other = flow_run(tmp_path, steps=4, seconds=2)
    wait_for(tmp_path / "trace", "begin", 4)
    turns = Turns(Resources(parallel=2))
    waiting = [Waiting(turns), Waiting(turns)]
    assert all(one.had.wait(20) for one in waiting)
    (told,) = [sentence for one in waiting for sentence in one.told]
    assert f": made up {other.pid}-" in told and "FAKE-3 (" in told
    other.wait(20)


def test_a_step_that_outlives_its_launcher_keeps_its_device_until_it_has_ended(tmp_path):
    (tmp_path / "trace").touch()
    launcher = flow_run(tmp_path, steps=4, seconds=2)
    wait_for(tmp_path / "trace", "begin", 4)
    launcher.send_signal(signal.SIGKILL)
    launcher.wait()
    assert len(list(LeaseTable(leases_folder()).leases())) == 4
    with Turns(Resources()).take("next", TRAINING) as share:
        had = time.monotonic()
    ended = {span.devices: span.end for span in spans(tmp_path / "trace", "begin", "end").values()}
    assert 0 < had - ended[share.devices] < 1


def flow_run(folder: Path, steps: int, seconds: float, **resources: object) -> "subprocess.Popen[bytes]":
    arguments = [folder / "trace", str(seconds), str(steps), Resources(**resources).model_dump_json()]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, str(FLOW_RUN), *map(str, arguments)], env=environment)


def wait_for(trace: Path, event: str, times: int) -> None:
    deadline = time.monotonic() + 30
    while trace.read_text().count(f'"{event}"') < times:
        assert time.monotonic() < deadline, f"{event} did not come {times} times"
        time.sleep(0.05)


def compete(folder: Path, steps: int, seconds: float, *runs: dict[str, object]) -> Path:
    """The trace of flow runs that start together."""
    trace = folder / "trace"
    trace.touch()
    for process in [flow_run(folder, steps, seconds, **resources) for resources in runs]:
        assert process.wait(600) == 0
    assert trace.read_text().count('"returned"') == steps * len(runs)
    assert overlaps(list(spans(trace, "begin", "end").values())) == 0, "two steps on one device"
    return trace


def leased(trace: Path) -> float:
    waited, held = spans(trace, "asked", "granted"), spans(trace, "granted", "returned")
    return leased_while_waited_for(list(waited.values()), list(held.values()), devices=4)


def test_two_flow_runs_keep_all_devices_leased_and_none_twice(tmp_path):
    trace = compete(tmp_path, 10, 0.8, {}, {})
    assert leased(trace) >= 0.8, "in steps of less than a second the starting of processes shows"


def test_requests_for_one_and_for_two_devices_all_end(tmp_path):
    trace = compete(tmp_path, 4, 0.2, {}, {"processes": 2}, {"processes": 3})
    counts = [len(span.devices) for span in spans(trace, "begin", "end").values()]
    assert sorted(counts) == [1] * 4 + [2] * 4 + [3] * 4


class Watch(threading.Thread):
    """Looks into the queue, as `effreason gpus` does, until both flow runs have ended."""

    def __init__(self, runs: "list[subprocess.Popen[bytes]]") -> None:
        super().__init__()
        self.leased: list[int] = []
        """Devices, each time that a step waited for one."""
        self._runs = runs
        self.start()

    def run(self) -> None:
        table = LeaseTable(leases_folder())
        while any(run.poll() is None for run in self._runs):
            if any(CORES not in ticket.claim.parts for _, ticket in table.queue()):
                self.leased.append(sum(len(lease.parts) for lease in table.leases() if CORES not in lease.parts))
            time.sleep(0.02)


SMALL = """
name = "small"
alphas = [0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45]
[[models]]
source = "builtin"
"""


def sweep(folder: Path, trace: Path, seconds: float, environment: dict[str, str]) -> "subprocess.Popen[bytes]":
    folder.mkdir()
    (folder / "small.toml").write_text(SMALL)
    command = [sys.executable, str(FLOW_RUN.with_name("slow_sweep.py")), str(trace), str(seconds), "small.toml"]
    diary = {"FAKE_STEP_DIARY": str(folder / "diary")}
    return subprocess.Popen(command, cwd=folder, env={**environment, **diary}, stdout=subprocess.DEVNULL)


@pytest.mark.slow
def test_two_sweeps_on_prefect_keep_all_devices_leased_and_none_twice(tmp_path, prefect_environment, machine):
    trace = tmp_path / "trace"
    trace.touch()
    runs = [sweep(tmp_path / name, trace, 10, {**prefect_environment, **machine}) for name in ("one", "other")]
    watch = Watch(runs)
    assert [run.wait(280) for run in runs] == [0, 0]
    watch.join()
    held = list(spans(trace, "begin", "end").values())
    assert len(held) == 42 and overlaps(held) == 0
    share = sum(watch.leased) / (4 * len(watch.leased))
    print(f"leased {share:.4f} of {len(watch.leased)} times that a step was seen waiting")
    assert share >= 0.95


@pytest.mark.slow
def test_forty_steps_of_ten_seconds_leave_no_device_idle_while_work_waits(tmp_path):
    trace = compete(tmp_path, 20, 10, {}, {})
    share = leased(trace)
    print(f"leased {share:.4f} of the time in which steps waited")
    assert share >= 0.95
