"""`python -m flows.full_sweep` with steps whose answers are made up and plausible, and whose report is the real one.

    python plausible_sweep.py EXPERIMENT.toml
    python plausible_sweep.py STEP ORDER.json      as one step

Environment: PLAUSIBLE_GATE names a file; until it is there, trainings at more than ALPHA_IN_FRONT stay in the middle.
"""

import os
import random
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from made_up_sweep import MadeUp, _completions, _problems, _trained

from effreason.artifacts import Artifact, Evaluation, Manifest, Problems
from effreason.evaluation.completions import FILE, read_completions, write_completions
from effreason.evaluation.measures import measure
from effreason.order import Order
from effreason.problems.files import VALIDATION, write_dropped, write_part
from effreason.progress import Progress, emit, emit_progress
from effreason.provenance import provenance
from effreason.specs import EvaluateSpec, PrepareSpec, Spec, TrainSpec
from effreason.steps import produce
from effreason.store import Store, open_store

WANTED = MadeUp(problems=120, validation=80)
ALPHA_IN_FRONT = 0.1
BASE_TOKENS = 90.0


def step(path: Path) -> int:
    order = Order.model_validate_json(path.read_text())
    emit("manifest", made(order.spec, open_store(order.store)).model_dump(mode="json"))
    return 0


def made(spec: Spec, store: Store) -> Manifest:
    match spec:
        case TrainSpec():
            train(spec)
            _trained(store, spec, BASE_TOKENS, tokens_at(spec.alpha), False)
            sealed = store.find(spec.address)
            assert sealed is not None
            return sealed
        case PrepareSpec() | EvaluateSpec():
            with tempfile.TemporaryDirectory() as folder:
                artifact = prepare(spec, Path(folder)) if isinstance(spec, PrepareSpec) else evaluate(
                    spec, Path(folder), store
                )  # fmt: skip
                return store.seal(spec, artifact, Path(folder), provenance(datetime.now(UTC), 4.2))
    return produce(spec, store, tell=emit_progress)


def train(spec: TrainSpec) -> None:
    gate, steps = Path(os.environ["PLAUSIBLE_GATE"]), spec.training.steps
    for done in range(1, steps + 1):
        while spec.alpha > ALPHA_IN_FRONT and done > 0.6 * steps and not gate.exists():
            time.sleep(0.1)
        tokens = BASE_TOKENS + done / steps * (tokens_at(spec.alpha) - BASE_TOKENS)
        figures = {"reward": 0.97 - spec.alpha / 2, "tokens": tokens, "accuracy": 0.969}
        emit_progress(Progress(phase="train", done=done, total=steps, figures=figures))
        time.sleep(0.05)


def prepare(spec: PrepareSpec, folder: Path) -> Artifact:
    for part in (VALIDATION, *(suite.name for suite in spec.suites)):
        write_part(folder, part, _problems(WANTED, part))
    write_dropped(folder, [])
    suites = {suite.name: WANTED.problems for suite in spec.suites}
    return Problems(address=spec.address, train=1987, validation=WANTED.validation, suites=suites, dropped={})


def evaluate(spec: EvaluateSpec, folder: Path, store: Store) -> Artifact:
    tokens, seed = BASE_TOKENS, "base"
    if spec.policy is not None:
        trained = store.find(spec.policy)
        assert trained is not None and isinstance(trained.spec, TrainSpec)
        tokens, seed = tokens_at(trained.spec.alpha), str(trained.spec.alpha)
    write_completions(folder / FILE, _completions(WANTED, tokens, WANTED.accuracy, random.Random(seed)))
    suites = {part: measure(rows, spec.protocol) for part, rows in read_completions(folder / FILE).items()}
    return Evaluation(address=spec.address, suites=suites, generated_tokens=51_200, seconds=4.0)


def tokens_at(alpha: float) -> float:
    return 92 - 52 * alpha**0.35


def run() -> int:
    """Prefect's settings must be in the environment."""
    from flows.command import main
    from tasks.running import launching

    launching.STEP = (sys.executable, __file__)
    return main()


if __name__ == "__main__":
    sys.exit(step(Path(sys.argv[2])) if sys.argv[2:] and sys.argv[2].endswith(".json") else run())
