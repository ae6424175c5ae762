"""A `StepRunner` on a Ray cluster without Prefect: it trains one cell for each alpha, and tells how each ended.

    python ray_runner.py ADDRESS STORE ALPHA...

A JSON line on standard output for each step that ends; `stop` on standard input ends them all.
"""

import json
import sys
import threading
import time
from pathlib import Path

from effreason.artifacts import Problems
from effreason.choices import BuiltInModel, FolderHome, Ray
from effreason.errors import EffreasonError
from effreason.experiment import CellKey, Experiment, Resources
from tasks.running import launching
from tasks.running.launching import StepRunner, launch

FAKE_STEP = Path(__file__).with_name("fake_step.py")


def main() -> int:
    address, store, *alphas = sys.argv[1:]
    launching.STEP = ("an interpreter of this machine alone", str(FAKE_STEP))
    experiment = Experiment(
        name="small",
        models=(BuiltInModel(),),
        alphas=tuple(map(float, alphas)),
        store=FolderHome(path=store),
        runtime=Resources(engine=Ray(address=address)),
    )
    try:
        train(experiment)
    except EffreasonError as error:
        tell("runner", f"{type(error).__name__}: {error}")
    return 0


def train(experiment: Experiment) -> None:
    with StepRunner(experiment) as runner:
        problems = launch(experiment, "prepare", experiment.prepare_spec(), Problems)
        tell("prepare", "made")
        keys = list(experiment.cells())
        threads = [threading.Thread(target=cell, args=(runner, key, problems)) for key in keys]
        for thread in threads:
            thread.start()
        threading.Thread(target=obey, args=(runner,), daemon=True).start()
        for thread in threads:
            thread.join()
        began = time.monotonic()
    tell("runner", f"left after {time.monotonic() - began:.1f} s")


def cell(runner: StepRunner, key: CellKey, problems: Problems) -> None:
    try:
        runner.artifact(key.label, runner.experiment.train_spec(key, problems.address))
    except EffreasonError as error:
        tell(f"{key.alpha:g}", f"{type(error).__name__}: {error.happened}")
    else:
        tell(f"{key.alpha:g}", "made")


def obey(runner: StepRunner) -> None:
    if sys.stdin.readline().strip() == "stop":
        runner.stop()


def tell(step: str, outcome: str) -> None:
    print(json.dumps({"step": step, "outcome": outcome}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
