"""The plan learns from what steps took: the right ratio, an interval that holds, and nothing from other hardware."""

import math
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from effreason.artifacts import Evaluation, Interval, Manifest, Measures, Policy, Problems
from effreason.choices import BuiltInModel, FolderHome, Price
from effreason.experiment import Data, Experiment, Resources
from effreason.pinning import pin
from effreason.planning import CPU, GPUS, Calibrations, Device, earlier, gpu_time, plan, steps
from effreason.planning.calibration import Calibration, Took, same_hardware
from effreason.planning.costs import Setting, cost_of
from effreason.provenance import provenance
from effreason.specs import EvaluateSpec, PrepareSpec, TrainSpec
from effreason.store.folder import FolderStore

HERE = {"machine": platform.machine(), "cores": os.cpu_count() or 1, "gpus": 0}
H100 = {"machine": "x86_64", "cores": 64, "gpus": 1, "gpu": "NVIDIA H100 80GB HBM3"}


def experiment(**changes):
    data = Data(concise="", train_problems=50, validation_problems=10)
    return Experiment(
        **{"name": "x", "models": (BuiltInModel(),), "alphas": (0.0, 0.1, 0.2, 0.4), "data": data, **changes}
    )


def measures(tokens: float) -> Measures:
    return Measures(
        problems=9, samples=1, unjudged=0, accuracy=None, tokens=Interval(tokens, tokens, tokens), median_tokens=None,
        tokens_right=None, tokens_wrong=None, truncated=None, pass_at={},
    )  # fmt: skip


def history(asked, factors, hardware=HERE, device=CPU) -> dict[str, Manifest]:
    """Every step of the experiment as if it had taken its estimate times the next of `factors`."""
    setting, found = Setting.of(asked.prepare_spec(), asked.runtime), {}
    turns = iter(factors)
    for _, spec in steps(asked):
        tokens = 40.0 if isinstance(spec, TrainSpec | EvaluateSpec) and found_base(found) else None
        match spec:
            case PrepareSpec():
                artifact = Problems(address=spec.address, train=1, validation=1, suites={}, dropped={})
            case TrainSpec():
                artifact = Policy(
                    address=spec.address, model="m", alpha=0, seed=0, steps=1, generated_tokens=1, seconds=0.0
                )
            case EvaluateSpec():
                artifact = Evaluation(
                    address=spec.address, suites={"chain-sum": measures(40.0)}, generated_tokens=1, seconds=0.0
                )
            case _:
                continue
        estimate = cost_of(spec, setting, device, tokens).seconds
        origin = provenance(datetime.now(UTC), (estimate or 1.0) * next(turns))
        origin = origin.model_copy(update={"hardware": hardware})
        found[spec.address] = Manifest(
            address=spec.address, attempt="a", spec=spec, artifact=artifact, files=(), provenance=origin
        )
    return found


def found_base(found) -> bool:
    return any(isinstance(each.spec, EvaluateSpec) for each in found.values())


def known(found, asked, device=CPU) -> Calibrations:
    return Calibrations(list(earlier(found, found.get, device, asked.runtime)))


def test_steps_that_took_thrice_their_estimate_are_planned_to_take_thrice_as_long():
    asked = experiment()
    found = history(asked, [3.0] * 20)
    calibrations = known(found, asked)
    later = experiment(alphas=(0.7,))
    (training,) = [step for step in plan(later, found.get, CPU) if step.spec.step == "train"]
    assert not training.done and training.by_measure
    calibration = calibrations.of(training)
    assert calibration.interval == pytest.approx((3.0, 3.0, 3.0), rel=1e-3), "they were all alike"


def test_nothing_is_learned_from_nothing_and_a_single_step_has_no_interval():
    asked = experiment()
    (training, *_) = [step for step in plan(asked, lambda address: None, CPU) if step.spec.step == "train"]
    assert known({}, asked).of(training) is None
    single = Calibration((2.0,))
    assert single.centre == 2.0 and single.interval is None and single.seconds(10.0) is None


def test_other_hardware_says_nothing():
    asked = experiment()
    for hardware in (H100, {**HERE, "cores": HERE["cores"] + 1}, {**HERE, "machine": "other"}):
        found = history(asked, [3.0] * 20, hardware)
        assert not [took for took in known(found, asked).took if took.kind == "train"]


@pytest.mark.parametrize(
    ("gpu", "name", "same"),
    [
        ("NVIDIA H100 80GB HBM3", "h100-80", True),
        ("NVIDIA A100-SXM4-80GB", "a100-80", True),
        ("NVIDIA A100-SXM4-40GB", "a100-80", False),
        ("NVIDIA H200", "h200-141", True),
        ("NVIDIA GeForce RTX 4090", "rtx-4090", True),
        ("NVIDIA L4", "l40s-48", False),
        ("NVIDIA L40S", "l4-24", False),
        ("", "h100-80", False),
    ],
)
def test_a_gpu_is_known_by_the_words_of_its_name(gpu, name, same):
    spec = next(spec for _, spec in steps(experiment()) if isinstance(spec, TrainSpec))
    origin = provenance(datetime.now(UTC), 1.0).model_copy(update={"hardware": {**H100, "gpu": gpu}})
    assert same_hardware(spec, origin, GPUS[name]) is same


def test_the_interval_of_the_next_step_holds_it_nineteen_times_in_twenty():
    random, inside, rounds = np.random.default_rng(7), 0, 2000
    for _ in range(rounds):
        *seen, following = np.exp(0.4 + 0.3 * random.standard_normal(7))
        limits = Calibration(tuple(seen)).seconds(1.0)
        inside += limits.low <= following <= limits.high
    assert abs(inside / rounds - 0.95) < 4 * math.sqrt(0.95 * 0.05 / rounds)


def test_the_interval_of_a_sum_holds_it_nineteen_times_in_twenty():
    asked, random, inside, rounds = experiment(), np.random.default_rng(11), 0, 300
    left = [step for step in plan(asked, lambda address: None, CPU) if step.spec.step == "train"]
    estimates = np.array([step.cost.seconds for step in left])
    model = left[0].spec.model.fingerprint
    for _ in range(rounds):
        seen = np.exp(0.4 + 0.3 * random.standard_normal(8))
        took = [Took("train", model, False, float(ratio)) for ratio in seen]
        limits = Calibrations(took).together(left)
        truth = float(estimates @ np.exp(0.4 + 0.3 * random.standard_normal(len(left))))
        inside += limits.low <= truth <= limits.high
    assert abs(inside / rounds - 0.95) < 4 * math.sqrt(0.95 * 0.05 / rounds)


@given(st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=20), st.floats(0.1, 10))
def test_a_ratio_scales_with_its_steps_and_lies_within_its_interval(ratios, scale):
    one, other = Calibration(tuple(ratios)), Calibration(tuple(scale * ratio for ratio in ratios))
    assert other.centre == pytest.approx(scale * one.centre)
    assert one.interval.low <= one.centre * (1 + 1e-9) and one.centre <= one.interval.high * (1 + 1e-9)


def test_a_shared_gpu_is_paid_for_in_parts():
    gpu = GPUS["h100-80"]
    shares = [Resources(), Resources(gpu_share=0.5), Resources(gpu_memory_gib=gpu.memory / (4 << 30))]
    whole, half, quarter = (on(gpu, experiment(runtime=share)) for share in shares)
    assert half.centre == pytest.approx(whole.centre / 2)
    assert quarter.centre == pytest.approx(whole.centre / 4)
    assert whole.low == whole.high, "by the formulas alone there is no interval"
    assert on(gpu, experiment(runtime=Resources(gpu_memory_gib=100))) is None, "no step can have that much of it"


def on(gpu: Device, asked: Experiment) -> Interval | None:
    return gpu_time(asked, plan(asked, lambda address: None, gpu), Calibrations([]), gpu)


def test_the_command_tells_what_it_learned_and_what_it_will_cost(tmp_path: Path):
    asked = experiment(
        store=FolderHome(path=str(tmp_path / "store")), runtime=Resources(device="cpu", price=Price(core_hour=2))
    )
    store = FolderStore(tmp_path / "store")
    (tmp_path / "empty").mkdir()
    for manifest in history(pin(asked, tmp_path), [2.0] * 20).values():
        store.seal(manifest.spec, manifest.artifact, tmp_path / "empty", manifest.provenance)
    (tmp_path / "x.toml").write_text(
        f'name = "x"\nalphas = [0.9]\n[data]\nconcise = ""\ntrain_problems = 50\nvalidation_problems = 10\n'
        f'[[models]]\nsource = "builtin"\n[store]\nkind = "folder"\npath = "{tmp_path}/store"\n'
        '[runtime]\ndevice = "cpu"\nbudget = { hours = 3 }\nprice = { core_hour = 2 }\n'
    )
    command = [sys.executable, "-m", "effreason", "plan", "x.toml"]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    assert "report: no earlier steps, so not calibrated" in told.stdout
    assert "train: × 2.00 [" in told.stdout
    assert "Budget: 3 hours by the clock of each run" in told.stdout
    assert "measured." in told.stdout
