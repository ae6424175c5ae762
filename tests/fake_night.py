"""Stands in for `effreason step` in a nightly run: answers are made up, and the gate that judges them is the real one.

    python fake_night.py STEP ORDER.json      as one step
    python fake_night.py EXPERIMENT …         `python -m flows.nightly` with these steps

Environment: FAKE_NIGHT is JSON such as {"base": [0.9, 90], "20260131": [0.9, 60]}: accuracy and mean tokens of the base
model, and of the policies by their seeds, which are the dates of their nights. A policy that is not named fails.
"""

import json
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from effreason.artifacts import Artifact, Evaluation, Policy, Problems
from effreason.evaluation.completions import FILE, read_completions, write_completions
from effreason.evaluation.measures import measure
from effreason.order import Order
from effreason.progress import Fault, emit
from effreason.provenance import provenance
from effreason.records import JudgedCompletion, Verdict
from effreason.specs import EvaluateSpec, GateSpec, PrepareSpec, Spec, TrainSpec
from effreason.steps import produce
from effreason.store import Store, open_store

PROBLEMS, SAMPLES = 200, 2
SUITE = "chain-sum"


def step(path: Path) -> int:
    order = Order.model_validate_json(path.read_text())
    store, known = open_store(order.store), json.loads(os.environ["FAKE_NIGHT"])
    if isinstance(order.spec, GateSpec):
        emit("manifest", produce(order.spec, store).model_dump(mode="json"))
        return 0
    if isinstance(order.spec, TrainSpec) and str(order.spec.seed) not in known:
        emit("fault", Fault(kind="failure", happened="The oven is cold.", remedy="Light it.").model_dump())
        return 1
    with tempfile.TemporaryDirectory() as folder:
        made = artifact(order.spec, Path(folder), store, known)
        manifest = store.seal(order.spec, made, Path(folder), provenance(datetime.now(UTC), 0.1, order.runtime))
    emit("manifest", manifest.model_dump(mode="json"))
    return 0


def artifact(spec: Spec, folder: Path, store: Store, known: dict[str, list[float]]) -> Artifact:
    match spec:
        case PrepareSpec():
            return Problems(address=spec.address, train=1, validation=0, suites={SUITE: PROBLEMS}, dropped={})
        case TrainSpec():
            return Policy(
                address=spec.address, model=spec.model.name, alpha=spec.alpha, seed=spec.seed, steps=1,
                generated_tokens=1, seconds=1.0,
            )  # fmt: skip
        case EvaluateSpec():
            return evaluation(spec, folder, *known[who(spec, store)])
    raise AssertionError(f"a night has no step {spec.step}")


def who(spec: EvaluateSpec, store: Store) -> str:
    if spec.policy is None:
        return "base"
    manifest = store.find(spec.policy)
    assert manifest is not None and isinstance(manifest.spec, TrainSpec)
    return str(manifest.spec.seed)


def evaluation(spec: EvaluateSpec, folder: Path, accuracy: float, tokens: float) -> Evaluation:
    chance = random.Random(spec.fingerprint)
    write_completions(folder / FILE, completions(accuracy, tokens, chance))
    judged = read_completions(folder / FILE)
    suites = {suite: measure(rows, spec.protocol) for suite, rows in judged.items()}
    return Evaluation(address=spec.address, suites=suites, generated_tokens=1, seconds=1.0)


def completions(accuracy: float, tokens: float, chance: random.Random) -> Iterator[JudgedCompletion]:
    for problem in range(PROBLEMS):
        for sample in range(SAMPLES):
            right = chance.random() < accuracy
            yield JudgedCompletion(
                suite=SUITE, problem_id=f"{problem:016x}", sample=sample, text="", truncated=False,
                tokens=max(1, round(chance.gauss(tokens + problem % 9, 8))),
                verdict=Verdict.RIGHT if right else Verdict.WRONG, extracted=None,
            )  # fmt: skip


def run() -> int:
    """Prefect's settings must be in the environment."""
    from flows.nightly_command import main
    from tasks.running import launching

    launching.STEP = (sys.executable, __file__)
    return main()


if __name__ == "__main__":
    sys.exit(step(Path(sys.argv[2])) if sys.argv[2:] and sys.argv[2].endswith(".json") else run())
