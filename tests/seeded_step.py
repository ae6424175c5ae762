"""Stands in for `effreason step` where reports are compared: what it makes follows from the spec alone, time included.

    python seeded_step.py TRACE SECONDS STEP ORDER.json

Trainings and measurements hold their devices for SECONDS and write so into TRACE, as `fake_flow_run.py` has it. Before
that a training leaves a checkpoint in the store, or writes that it goes on from one. The report is the real one, over
made-up answers.
"""

import os
import random
import sys
import tempfile
import time
from pathlib import Path

from fake_flow_run import say
from made_up_sweep import PROVENANCE, MadeUp, _completions, _problems, _trained

from effreason.artifacts import Artifact, Evaluation, Problems
from effreason.cli import main as effreason
from effreason.evaluation.completions import FILE, read_completions, write_completions
from effreason.evaluation.measures import measure
from effreason.order import Order
from effreason.problems.files import VALIDATION, write_dropped, write_part
from effreason.progress import Progress, emit, emit_progress
from effreason.specs import EvaluateSpec, PrepareSpec, Spec, TrainSpec
from effreason.store import Store, open_store

WANTED = MadeUp(problems=8, validation=4, steps=6)


def main() -> int:
    trace, seconds, step, path = sys.argv[1:]
    if step == "report":
        return effreason(["step", step, path])
    order = Order.model_validate_json(Path(path).read_text())
    store = open_store(order.store)
    label = f"{order.spec.address} {os.getpid()}"
    if step == "train":
        leave_a_checkpoint(trace, label, store, order.spec)
    if step in ("train", "evaluate"):
        hold_devices(trace, float(seconds), label)
    manifest = store.find(order.spec.address) or sealed(store, order.spec)
    emit("manifest", manifest.model_dump(mode="json"))
    return 0


def leave_a_checkpoint(trace: str, label: str, store: Store, spec: Spec) -> None:
    with tempfile.TemporaryDirectory() as folder:
        if store.load_working(spec.address, Path(folder)):
            say(trace, "resume", label, os.environ["CUDA_VISIBLE_DEVICES"])
        else:
            (Path(folder) / "weights").touch()
            store.save_working(spec.address, "half", Path(folder))


def hold_devices(trace: str, seconds: float, label: str) -> None:
    devices = os.environ["CUDA_VISIBLE_DEVICES"].split(",")
    say(trace, "begin", label, devices)
    emit_progress(Progress(phase="train", done=0, total=1))
    time.sleep(seconds)
    say(trace, "end", label, devices)


def sealed(store: Store, spec: Spec) -> object:
    if isinstance(spec, TrainSpec):
        _trained(store, spec, 90, 90 - 40 * spec.alpha, hacked=False)
        return store.find(spec.address)
    with tempfile.TemporaryDirectory() as folder:
        return store.seal(spec, made(spec, Path(folder)), Path(folder), PROVENANCE)


def made(spec: Spec, folder: Path) -> Artifact:
    if isinstance(spec, PrepareSpec):
        for part in (VALIDATION, "chain-sum"):
            write_part(folder, part, _problems(WANTED, part))
        write_dropped(folder, [])
        return Problems(address=spec.address, train=9, validation=4, suites={"chain-sum": 8}, dropped={})
    assert isinstance(spec, EvaluateSpec)
    rows = list(_completions(WANTED, 80, 0.9, random.Random(spec.fingerprint)))
    write_completions(folder / FILE, rows)
    measured = {part: measure(judged, spec.protocol) for part, judged in read_completions(folder / FILE).items()}
    return Evaluation(address=spec.address, suites=measured, generated_tokens=sum(r.tokens for r in rows), seconds=12.5)


if __name__ == "__main__":
    sys.exit(main())
