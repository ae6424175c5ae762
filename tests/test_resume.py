"""A training that was stopped or killed ends as an undisturbed one."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from tiny_training import Run, by_first_letter, metrics_of, tiny_spec, weights_of, without_times, without_times_of

from effreason.choices import (
    AccuracyConstrained,
    FolderHome,
    KlInLoss,
    KlInReward,
    Lora,
    PolicyGradient,
    Ppo,
)
from effreason.errors import StepFailure, UserError
from effreason.experiment_file import prepared
from effreason.order import Order
from effreason.records import Judgement
from effreason.steps import produce
from effreason.store.folder import FolderStore
from effreason.training.ledger import METRICS
from effreason.workbench import Runtime


class Interruption(Exception):
    """Stands for a killed process: nothing in the project catches it."""


def kill_at(step: int, run: Run) -> None:
    steps = iter(range(1, 100))
    collect = run.collector.grade

    def grade(pairs: Sequence[tuple[str, str]]) -> list[Judgement]:
        if next(steps) == step:
            raise Interruption
        return collect(pairs)

    with pytest.raises(Interruption):
        run(grade)


def stop_at(step: int, run: Run) -> None:
    def grade(pairs: Sequence[tuple[str, str]], steps=iter(range(1, 100))) -> list[Judgement]:
        if next(steps) == step:
            run.bench.stopping.set()
        return by_first_letter(pairs)

    with pytest.raises(StepFailure, match=f"stopped after step {step} of 5"):
        run(grade)


ADAPTERS = Lora(rank=4, scale=8, dropout=0.1)
CONSTRAINED = AccuracyConstrained(free_steps=2, rate=0.2)


@pytest.mark.parametrize(
    ("interrupt", "settings"),
    [
        (kill_at, {}),
        (stop_at, {"updates_per_step": 2, "schedule": CONSTRAINED}),
        (kill_at, {"updates_per_step": 2, "weights": ADAPTERS}),
        (stop_at, {"weights": ADAPTERS, "kl": KlInLoss()}),
        (kill_at, {"kl": KlInReward(), "algorithm": PolicyGradient(whiten=True)}),
        (kill_at, {"algorithm": Ppo(), "updates_per_step": 2}),
        (kill_at, {"algorithm": Ppo(), "weights": ADAPTERS}),
        (kill_at, {"overlap": True}),
    ],
)
def test_an_interrupted_training_ends_as_an_undisturbed_one(
    tmp_path: Path, interrupt: Callable[[int, Run], None], settings: dict[str, object]
) -> None:
    spec = tiny_spec(**settings)
    for name in ("calm", "disturbed"):
        (tmp_path / name).mkdir()
    calm = Run(tmp_path / "calm", spec)
    expected = without_times(metrics_of(calm(), tmp_path / "calm" / "kept"))

    interrupt(3, Run(tmp_path / "disturbed", spec))
    again = Run(tmp_path / "disturbed", spec, attempt="second")
    found = without_times(metrics_of(again(), tmp_path / "disturbed" / "kept"))

    assert len(again.told) < 5
    assert found == [pytest.approx(line, abs=1e-6) for line in expected]
    torch.testing.assert_close(weights_of(again.model), weights_of(calm.model), rtol=0, atol=1e-6)
    completions = [pq.read_table(tmp_path / name / "kept" / "completions.parquet") for name in ("calm", "disturbed")]
    assert completions[0].equals(completions[1])


def test_dropout_goes_on_as_if_undisturbed_without_remembered_random_numbers(tmp_path: Path) -> None:
    """A checkpoint has those of the first process, and of several the others go on from it too."""
    spec = tiny_spec(weights=ADAPTERS, updates_per_step=2)
    for name in ("calm", "disturbed"):
        (tmp_path / name).mkdir()
    calm = Run(tmp_path / "calm", spec)
    calm()
    broken = Run(tmp_path / "disturbed", spec)
    kill_at(3, broken)
    checkpoint = tmp_path / "checkpoint"
    name = broken.store.load_working(spec.address, checkpoint)
    assert name is not None
    (checkpoint / "rng_state.pth").unlink()
    broken.store.save_working(spec.address, name, checkpoint)
    again = Run(tmp_path / "disturbed", spec, attempt="second")
    again()
    assert len(again.told) < 5
    torch.testing.assert_close(weights_of(again.model), weights_of(calm.model), rtol=0, atol=1e-6)


# ------------------------------------------------------------------------------------------ a real process killed


def ordered(folder: Path) -> tuple[Order, Path]:
    """The training of a cell of the smallest experiment, with its problems in a store of its own."""
    experiment = prepared("tests/data/small.toml")
    store = FolderStore(folder / "store")
    problems = produce(experiment.prepare_spec(), store).address
    spec = experiment.train_spec(list(experiment.cells())[-1], problems)
    home = FolderHome(path=str(folder / "store"))
    order = Order(spec=spec, store=home, runtime=Runtime(threads=1, device="cpu"))
    path = folder / "order.json"
    path.write_text(order.model_dump_json())
    return order, path


def step(path: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "effreason", "step", "train", str(path)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**os.environ})


def test_a_process_that_is_killed_outright_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    calm, disturbed = tmp_path / "calm", tmp_path / "disturbed"
    for folder in (calm, disturbed):
        folder.mkdir()
    order, path = ordered(disturbed)
    first = step(path)
    assert first.stdout is not None
    for line in first.stdout:
        if b'"phase":"train","done":3' in line:  # a checkpoint was taken after step 2
            first.send_signal(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    second = step(path)
    told = [line for line in second.communicate()[0].splitlines() if b'"phase":"train"' in line]
    assert second.returncode == 0
    assert [b'"done":3' in told[0], len(told)] == [True, 2]

    undisturbed = step(ordered(calm)[1])
    undisturbed.communicate()
    lines, weights = [], []
    for folder in (calm, disturbed):
        store = FolderStore(folder / "store")
        manifest = store.find(order.spec.address)
        assert manifest is not None
        kept = store.fetch(manifest, tmp_path / "kept" / folder.name)
        lines.append(without_times_of(kept / METRICS))
        weights.append(load_file(kept / "model" / "model.safetensors"))
    assert lines[0] == [pytest.approx(line, abs=1e-6) for line in lines[1]]
    for name, weight in weights[0].items():
        torch.testing.assert_close(weight, weights[1][name], rtol=0, atol=1e-6)


def test_a_process_that_is_asked_to_end_keeps_a_checkpoint_and_leaves(tmp_path: Path) -> None:
    order, path = ordered(tmp_path)
    process = step(path)
    assert process.stdout is not None
    for line in process.stdout:
        if b'"phase":"train","done":1' in line:
            asked = time.monotonic()
            process.send_signal(signal.SIGTERM)
    assert process.wait() == 1
    assert time.monotonic() - asked < 30
    store = FolderStore(tmp_path / "store")
    assert store.find(order.spec.address) is None
    assert store.load_working(order.spec.address, tmp_path / "checkpoint") in ("step-000002", "step-000003")


def test_a_tracker_that_is_not_there_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    order, _ = ordered(tmp_path)
    with pytest.raises(UserError, match="comet_of_mine"):
        produce(order.spec, FolderStore(tmp_path / "store"), Runtime(device="cpu", report_to=("comet_of_mine",)))
