"""Stands in for `effreason step`: seals a small artifact in the real store at once, and says so as a step does.

    python fake_step.py STEP ORDER.json

Environment: FAKE_STEP_DIARY names a file that gets a line for every start, with the number of the process and the name
of the step; FAKE_STEP_MOODS is JSON such as {"train 0.4": "user"}, where the mood is `user` (a fault of the user's),
`failure` (the first time only), `slow` (10 s), or `hang` (until told to end).
"""

import json
import os
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from effreason.artifacts import Artifact, Evaluation, Policy, Problems, Report
from effreason.order import Order
from effreason.progress import Fault, Progress, emit, emit_progress
from effreason.provenance import provenance
from effreason.specs import EvaluateSpec, PrepareSpec, Spec, TrainSpec
from effreason.store import open_store

REPORT_FILES = {
    "report.html": "<p>The report</p>",
    "report.json": '{"schema": 5, "cells": []}',
    "cells.csv": "model,alpha\n",
    "frontier.svg": '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
    "table.md": "| alpha | accuracy |\n| --- | --- |\n| 0.2 | 99% |\n",
}


def main() -> int:
    order = Order.model_validate_json(Path(sys.argv[2]).read_text())
    name = name_of(order.spec)
    diary = Path(os.environ["FAKE_STEP_DIARY"])
    repeated = diary.exists() and any(line.endswith(f" {name}") for line in diary.read_text().splitlines())
    with diary.open("a") as lines:
        lines.write(f"{os.getpid()} {name}\n")
    match json.loads(os.environ.get("FAKE_STEP_MOODS", "{}")).get(name):
        case "user":
            return fail("user")
        case "failure" if not repeated:
            return fail("failure")
        case "slow":
            time.sleep(10)
        case "hang":
            time.sleep(600)
    print("a library that prints on standard output")
    print("a line of the log", file=sys.stderr)
    print("library.py:1: UserWarning: a warning of the step", file=sys.stderr)
    for done in range(3):
        emit_progress(Progress(phase="train", done=done + 1, total=3, figures={"reward": 0.5 + done / 10}))
    store = open_store(order.store)
    with tempfile.TemporaryDirectory() as folder:
        for path, content in REPORT_FILES.items():
            Path(folder, path).write_text(content)
        manifest = store.seal(
            order.spec, artifact(order.spec), Path(folder), provenance(datetime.now(UTC), 0.1, order.runtime)
        )
    emit("manifest", manifest.model_dump(mode="json"))
    return 0


def name_of(spec: Spec) -> str:
    match spec:
        case TrainSpec():
            return f"train {spec.alpha}"
        case EvaluateSpec():
            return "evaluate tuned" if spec.policy else "evaluate base"
    return spec.step


def fail(kind: str) -> int:
    emit("fault", Fault(kind=kind, happened="The oven is cold.", remedy="Light it.").model_dump())
    return 2 if kind == "user" else 1


def artifact(spec: Spec) -> Artifact:
    match spec:
        case PrepareSpec():
            return Problems(address=spec.address, train=1, validation=1, suites={"chain-sum": 1}, dropped={})
        case TrainSpec():
            return Policy(
                address=spec.address,
                model=spec.model.name,
                alpha=spec.alpha,
                seed=spec.seed,
                steps=1,
                generated_tokens=1,
                seconds=1.0,
            )
        case EvaluateSpec():
            return Evaluation(address=spec.address, suites={}, generated_tokens=1, seconds=1.0)
        case _:
            return Report(address=spec.address, recommended={})


if __name__ == "__main__":
    sys.exit(main())
