"""Our training step beside that of TRL's GRPOTrainer: seconds per step, and seconds to a target.

    python -m effreason.benchmarks.training [--threads 1 2] [--step-only | --target-only | --ablation] [--quick]

Writes bench.json and bench.md (an ablation: ablation.md) into the output folder after every part. docs/speed.md says
how to read them.
"""

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

# A benchmark downloads and reports nothing; the libraries read this once, when they are imported.
os.environ["HF_HUB_OFFLINE"] = "1"

import torch

from effreason.benchmarks.ablation import ablations
from effreason.benchmarks.ours import ours, spec_of
from effreason.benchmarks.rounds import Ratio, best, ratio, seconds_of_rounds, take_turns
from effreason.benchmarks.tables import said, step_table, target_table, worth_table
from effreason.benchmarks.target import HeldOut, Pursuit, bound, pursue, ratio_of
from effreason.benchmarks.trl_contestants import AS_IT_COMES, Settings, candidates, required, trl
from effreason.benchmarks.work import Contestant, Order, Work

OURS, TRL, TRL_BEST = "effreason", "TRL as it comes", "TRL, best settings"
PARTS = ("step", "target")
CHOOSING_STEPS = 3
"""Timed ones of each candidate for TRL's best settings."""
SUFFIXES = {TRL: "", TRL_BEST: "_best"}


@dataclass
class Findings:
    """What is known so far; written after every part, so that a run that is cut short leaves what it found."""

    folder: Path
    name: str = "bench"
    """Of the Markdown file."""
    figures: dict[str, float | None] = field(
        default_factory=lambda: {f"{part}_ratio{suffix}": None for suffix in SUFFIXES.values() for part in PARTS}
    )
    notes: list[str] = field(default_factory=list)
    sections: list[str] = field(default_factory=list)

    def add(self, heading: str, *parts: str) -> None:
        """Print a section, and write all there is."""
        self.sections.append("\n\n".join([f"## {heading}", *filter(None, parts)]))
        print(self.sections[-1] + "\n", flush=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / f"{self.name}.md").write_text("\n\n".join(self.sections) + "\n")

    def keep(self) -> None:
        """Write the ratios known so far; null where one is not known, or where a run missed the target."""
        body = json.dumps({**self.figures, "notes": self.notes}, indent=2, allow_nan=False)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "bench.json").write_text(body + "\n")


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    work: Work = Work()
    threads: tuple[int, ...] = (1,)
    """The ratios of bench.json are those of the first."""
    rounds: int = 5
    steps: int = 1
    """Timed ones in each round."""
    seeds: int = 3
    limit: int = 40
    """Steps to the target at most."""
    every: int = 2
    """Steps from one measurement to the next."""
    patience: float = 6.0
    """A contestant is given up when it has trained for so many times the seconds of our run with its seed."""
    held_out: int = 300
    learning_rate: float = 1.8e-4


QUICK = Plan(Work(4, 4, 96, problems=200), rounds=2, seeds=1, limit=2, every=2, held_out=20)


def main(arguments: Sequence[str] | None = None) -> None:
    chosen = _parser().parse_args(arguments)
    plan = _plan(chosen)
    torch.set_num_threads(plan.threads[0])
    if chosen.ablation:
        measure_ablation(plan, Findings(chosen.output, "ablation"))
        return
    findings = Findings(chosen.output)
    contestants = line_up(plan, findings)
    if not chosen.target_only:
        for threads in plan.threads:
            measure_steps(plan, threads, contestants, findings)
    if not chosen.step_only:
        torch.set_num_threads(plan.threads[0])
        measure_target(plan, contestants, findings)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", help="the ratios of bench.json are those of the first")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--steps-per-round", type=int)
    parser.add_argument("--seeds", type=int)
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--step-only", action="store_true")
    part.add_argument("--target-only", action="store_true")
    part.add_argument("--ablation", action="store_true", help="our step without each of its means in turn")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: whether it runs, not how fast")
    parser.add_argument("--output", type=Path, default=Path("build"))
    return parser


def _plan(chosen: argparse.Namespace) -> Plan:
    given = {
        "threads": tuple(chosen.threads) if chosen.threads else None,
        "rounds": chosen.rounds,
        "steps": chosen.steps_per_round,
        "seeds": chosen.seeds,
    }
    return replace(QUICK if chosen.quick else Plan(), **{key: value for key, value in given.items() if value})


def line_up(plan: Plan, findings: Findings) -> dict[str, Contestant]:
    """The contestants, after the best settings of TRL have been found by a measurement."""
    settings = candidates(plan.work.prompts * plan.work.completions)
    winner, seconds = best({name: trl(one) for name, one in settings.items()}, plan.work, CHOOSING_STEPS)
    found = "\n".join(f"- {name}: {taken:.2f} s per step" for name, taken in seconds.items())
    told = [_told(name, one, plan) for name, one in ((TRL, AS_IT_COMES), (TRL_BEST, settings[winner]))]
    told.append(f"{OURS}: `{spec_of(_order(plan, 0)).training.model_dump(mode='json', exclude_defaults=True)}`")
    findings.add("The contestants", f"TRL's best local settings: {winner}.", found, *told)
    return {OURS: ours, TRL: trl(AS_IT_COMES), TRL_BEST: trl(settings[winner])}


def _told(name: str, settings: Settings, plan: Plan) -> str:
    return f"{name}: `{ {**required(_order(plan, 0)), **settings} }`; all else is TRL's default."


def _order(plan: Plan, seed: int) -> Order:
    return Order(plan.work, plan.limit, plan.learning_rate, seed)


def measure_steps(plan: Plan, threads: int, contestants: Mapping[str, Contestant], findings: Findings) -> None:
    """Seconds per step with so many threads."""
    torch.set_num_threads(threads)
    found = take_turns(contestants, plan.work, plan.rounds, plan.steps)
    ratios = {name: ratio(seconds_of_rounds(found[OURS]), seconds_of_rounds(found[name])) for name in SUFFIXES}
    if threads == plan.threads[0]:
        findings.figures |= {f"step_ratio{SUFFIXES[name]}": one.middle for name, one in ratios.items()}
    findings.add(f"Seconds per step, threads: {threads}", step_table(found), _sentences(ratios), _load())
    findings.keep()


def measure_target(plan: Plan, contestants: Mapping[str, Contestant], findings: Findings) -> None:
    """Seconds to the target; our run with a seed comes first, and says how long the others are waited for."""
    held_out = HeldOut(plan.work, plan.held_out)
    found: dict[str, list[Pursuit]] = {name: [] for name in contestants}
    for seed in range(plan.seeds):
        patience = float("inf")
        for name, contestant in contestants.items():
            run = pursue(contestant, _order(plan, seed), held_out, plan.every, patience)
            found[name].append(run)
            patience = plan.patience * found[OURS][seed].seconds
            print(f"{name}, seed {seed}: {run}", flush=True)
    ratios = {name: ratio_of(found[OURS], found[name]) for name in SUFFIXES}
    findings.notes += [
        f"target_ratio{SUFFIXES[name]}: {bound(found[OURS], found[name])}"
        for name, one in ratios.items()
        if one is None
    ]
    reached = {name: one for name, one in ratios.items() if one is not None}
    findings.figures |= {f"target_ratio{SUFFIXES[name]}": one.middle for name, one in reached.items()}
    base = f"Base: {held_out.base.tokens:.1f} tokens, accuracy {held_out.base.accuracy:.1%}."
    findings.add(
        "Seconds to the target", base, target_table(found, held_out.base), _sentences(reached), *findings.notes, _load()
    )
    findings.keep()


def measure_ablation(plan: Plan, findings: Findings) -> None:
    """Seconds of our step without each of its means."""
    found = take_turns(ablations(), plan.work, plan.rounds, plan.steps)
    findings.add("What each means is worth", worth_table(found, next(iter(found))), _load())


def _sentences(ratios: Mapping[str, Ratio]) -> str:
    return "\n".join(f"- {OURS} / {name}: {said(one)}" for name, one in ratios.items())


def _load() -> str:
    return f"Load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores."


if __name__ == "__main__":
    main()
