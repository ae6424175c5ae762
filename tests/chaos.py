"""A sweep in which whatever can die is killed, again and again: `make chaos KILLS=30`.

python tests/chaos.py [--kills 30] [--seed 0] [--output build]

The same small sweep is run twice through the deployment full-sweep, with artifacts on an S3 server, trainings in
processes and in containers: once undisturbed, and once while SIGKILL falls at random moments on steps' processes and
containers, the worker, the Prefect server and the S3 server. A supervisor starts the three servers again, as a restart
policy does; the rest is for the pipeline. OUTPUT/chaos.json has the figures, OUTPUT/chaos.log each kill, and the logs
beside it what the servers said.
"""

import argparse
import json
import os
import random
import secrets
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from chaos_stack import DEPLOYMENT, Stack, stack
from chaos_victims import Victims, children
from s3_server import BUCKET, within

from effreason.choices import S3Home
from effreason.leasing.lease_table import LeaseTable
from effreason.store import open_store

NAME = "chaos"
CHECKPOINT_EVERY = 4
PAUSES = (4.0, 16.0)
"""Seconds between two kills, at least and at most."""
LONGEST_SECONDS = 3600
SETTLED_SECONDS = 30
"""After which nothing of a run may be left."""
FINAL = ("COMPLETED", "FAILED", "CANCELLED")
"""A crashed run is no end: the pipeline has it go on."""
UNLIKE = frozenset({"costs", "seconds"})
"""Parts of report.json that say how long something took."""


def main() -> int:
    options = arguments()
    options.output.mkdir(parents=True, exist_ok=True)
    for log in options.output.glob("chaos*.log"):
        log.unlink()
    mark = secrets.token_hex(8)
    with tempfile.TemporaryDirectory(prefix="effreason-chaos-") as folder:
        Path(folder).chmod(0o755)
        with stack(Path(folder), options.output.resolve(), mark) as running:
            found = Chaos(running, mark, options).found()
    (options.output / "chaos.json").write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))
    good = found["state"] == "COMPLETED" and found["metrics_equal"] and found["kills"] >= options.kills
    clean = not (found["orphans"] or found["slots_held"] or found["damaged"])
    return 0 if good and clean and found["steps_lost_max"] <= CHECKPOINT_EVERY else 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="chaos", description="Kill what can be killed while a sweep runs.")
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("build"))
    return parser.parse_args()


class Chaos:
    """The two sweeps on one stack."""

    def __init__(self, running: Stack, mark: str, options: argparse.Namespace) -> None:
        self.stack, self.options = running, options
        self.victims = Victims(running, mark, NAME)
        self.chance = random.Random(options.seed)
        self.log = options.output / "chaos.log"

    def found(self) -> dict[str, Any]:
        """The figures of chaos.json."""
        began = time.time()
        calm = self.ask("calm")
        state = self.ended(calm)
        assert state == "COMPLETED", f"the undisturbed run ended as {state}"
        undisturbed, self.calm_seconds = self.report("calm"), time.time() - began
        self.stack.trace.unlink()
        self.say(f"the undisturbed run took {self.calm_seconds:.0f} s")
        run = self.ask("disturbed")
        kills = self.kill_until_it_ends(run)
        state = self.ended(run)
        self.say(f"the run ended as {self.stack.ask(f'/flow_runs/{run}')['state']}")
        self.settle()
        if self.stack.trace.exists():
            shutil.copy(self.stack.trace, self.options.output / "chaos-trace.jsonl")
        return {
            "kills": sum(kills.values()),
            "metrics_equal": state == "COMPLETED" and self.report("disturbed") == undisturbed,
            "orphans": len(self.orphans()),
            "slots_held": len(self.slots()),
            "steps_lost_max": max(lost(self.stack.trace), default=0),
            "damaged": self.damaged(),
            "state": state,
            "kills_of": dict(kills),
            "seed": self.options.seed,
            "undisturbed_seconds": round(self.calm_seconds),
            "disturbed_seconds": round(time.time() - began - self.calm_seconds),
        }

    def ask(self, prefix: str) -> str:
        """Ask for a sweep with its artifacts under `prefix`; the number of its run."""
        deployment = self.stack.ask(f"/deployments/name/{DEPLOYMENT}")
        asked = {"parameters": {"experiment": self.experiment(prefix)}, "name": prefix}
        return self.stack.ask(f"/deployments/{deployment['id']}/create_flow_run", asked)["id"]

    def experiment(self, prefix: str) -> dict[str, Any]:
        """Long enough for all kills, whose steps may fail as often as they are killed."""
        return {
            "name": NAME,
            "alphas": [0.0, 0.4],
            "seeds": [0, 1],
            "models": [{"source": "builtin"}],
            "data": {
                "source": {"kind": "chain-sum"},
                "train_problems": 200,
                "validation_problems": 20,
                "suites": [{"name": "chain-sum", "source": {"kind": "chain-sum"}, "problems": 40}],
            },
            "training": {
                "steps": 6 * self.options.kills,
                "prompts_per_step": 4,
                "completions_per_prompt": 8,
                "learning_rate": 3e-4,
                "max_tokens": 256,
                "checkpoint_every": CHECKPOINT_EVERY,
            },
            "evaluation": {"samples": 2, "temperature": 1.0, "max_tokens": 256},
            "store": self.home(prefix).model_dump(mode="json"),
            "runtime": {"parallel": 2, "threads": 1, "device": "cpu", "retries": 2 * self.options.kills},
        }

    def home(self, prefix: str) -> S3Home:
        return S3Home(bucket=BUCKET, prefix=prefix, endpoint=self.stack.store.endpoint)

    def kill_until_it_ends(self, run: str) -> Counter[str]:
        """One at a time, at random moments, of each kind as often as of any other; how often of which."""
        kills: Counter[str] = Counter()
        while sum(kills.values()) < self.options.kills and self.state(run) not in FINAL:
            time.sleep(self.chance.uniform(*PAUSES))
            for kind in self.chance.sample(list(self.victims.kinds), len(self.victims.kinds)):
                if killed := self.victims.kinds[kind]():
                    kills[kind] += 1
                    self.say(f"{sum(kills.values())}. {kind}: {killed}")
                    break
        return kills

    def ended(self, run: str) -> str:
        """The state in which it ends; the one it is in when patience does."""
        deadline = time.monotonic() + LONGEST_SECONDS
        while (state := self.state(run)) not in FINAL and time.monotonic() < deadline:
            time.sleep(1)
        return state

    def state(self, run: str) -> str:
        return self.stack.ask(f"/flow_runs/{run}")["state_type"]

    def report(self, prefix: str) -> Any:
        """What report.json says, but for how long things took; it is kept beside the figures."""
        path = self.stack.folder / "runs" / NAME / "report" / "report.json"
        shutil.copy(path, self.options.output / f"chaos-{prefix}.json")
        return timeless(json.loads(path.read_text()))

    def settle(self) -> None:
        """Wait for what is about to end."""
        for _ in within(seconds=SETTLED_SECONDS):
            if not self.orphans() and not self.slots():
                return

    def orphans(self) -> list[str]:
        """Processes and containers of runs, where none runs; the worker that lives and what it keeps beside it stay."""
        ours = {self.stack.worker.pid, *children(self.stack.worker.pid)}
        processes = [f"process {pid}" for pid in self.victims.processes() if pid not in ours]
        return [*processes, *(f"container {container.short_id}" for container in self.victims.containers())]

    def slots(self) -> list[str]:
        """Shares of the machine, and places among the runs of the deployment, that are held."""
        leases = LeaseTable(self.stack.folder / "leases").leases()
        limit = self.stack.ask(f"/deployments/name/{DEPLOYMENT}")["global_concurrency_limit"]
        return [*(lease.holder.step for lease in leases), *["run"] * limit["active_slots"]]

    def damaged(self) -> int:
        """Artifacts that can be seen and are not whole."""
        os.environ.update(self.stack.store.environment)
        store = open_store(self.home("disturbed"))
        manifests = [store.find(address) for address in store.addresses()]
        return sum(1 for manifest in manifests if manifest is None or store.verify(manifest))

    def say(self, sentence: str) -> None:
        line = f"{time.strftime('%H:%M:%S')} {sentence}"
        print(line, flush=True)
        with self.log.open("a") as log:
            log.write(line + "\n")


def lost(trace: Path) -> Iterator[int]:
    """How many steps of a training were made a second time, for each time that it began again."""
    before: dict[str, int] = {}
    if not trace.exists():  # no training has come so far
        return
    for line in map(json.loads, trace.read_text().splitlines()):
        yield max(0, before.get(line["label"], 0) - line["step"] + 1)
        before[line["label"]] = line["step"]


def timeless(part: Any) -> Any:
    if isinstance(part, Mapping):
        return {name: timeless(value) for name, value in part.items() if name not in UNLIKE}
    return [timeless(each) for each in part] if isinstance(part, list) else part


if __name__ == "__main__":
    sys.exit(main())
