"""`effreason plan EXPERIMENT`: every step, done or to do, with what it will cost; nothing is run."""

import argparse
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from effreason.experiment import Experiment
    from effreason.planning import PlannedStep


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "plan",
        help="check an experiment and show its steps with tokens, memory, disk and time",
        description="Check an experiment file and print every step, done or to do, with what it will cost.",
    )
    parser.add_argument("experiment", help="path of a TOML file, or the name of a shipped experiment")
    parser.add_argument("--gpu", action="store_true", help="reckon with a data-centre GPU instead of this CPU")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from effreason.experiment_file import prepared
    from effreason.planning import CPU, GPU, plan
    from effreason.store import open_store

    experiment = prepared(options.experiment)
    planned = plan(experiment, open_store(experiment.store).find, GPU if options.gpu else CPU)
    print("\n".join(table(planned)))
    print(_total(experiment, planned, "a data-centre GPU" if options.gpu else f"{os.cpu_count()} CPU cores"))
    return 0


def table(planned: Sequence["PlannedStep"]) -> list[str]:
    """The plan as lines of text, one a step."""
    width = max(len(step.label) for step in planned)
    lines = [f"{'step':{width}}  state    tokens   memory     disk     time  address"]
    for step in planned:
        tokens, memory, disk, seconds = step.cost
        figures = f"{_count(tokens):>6}  {_bytes(memory):>7}  {_bytes(disk):>7}  {_time(seconds):>7}"
        lines.append(f"{step.label:{width}}  {'done ' if step.done else 'to do'}    {figures}  {step.spec.address}")
    return lines


def _total(experiment: "Experiment", planned: Sequence["PlannedStep"], device: str) -> str:
    left = [step for step in planned if not step.done]
    if not left:
        return f"\nAll {len(planned)} steps of {experiment.name} are done; a run only prints."
    tokens = sum(step.cost.tokens for step in left)
    known = [step.cost.seconds for step in left if step.cost.seconds is not None]
    time = f"about {_time(sum(known))} one after another" if len(known) == len(left) else "time unknown"
    return (
        f"\n{len(left)} of {len(planned)} steps to do: about {_count(tokens)} generated tokens, {time} on {device}.\n"
        "Estimates without an interval: tokens are as the base model measured or half the limit; `?` is a model whose\n"
        "shape is not known before it is loaded."
    )


def _count(number: int) -> str:
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= size:
            return f"{number / size:.1f}{unit}"
    return str(number)


def _bytes(number: int | None) -> str:
    if number is None:
        return "?"
    for unit, size in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number / 1000:.0f} kB"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
