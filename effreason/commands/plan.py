"""`effreason plan EXPERIMENT`: every step, done or to do, what it will cost and whether it fits; nothing is run."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from effreason.experiment import Experiment
    from effreason.planning import Calibrations, Device, Memory, PlannedStep


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "plan",
        help="check an experiment and show its steps with tokens, memory, disk and time",
        description="Check an experiment file and print every step, done or to do, with what it will cost and "
        "whether it fits the memory of the GPU.",
    )
    parser.add_argument("experiment", help="path of a TOML file, or the name of a shipped experiment")
    parser.add_argument("--gpu", metavar="NAME", help="plan for this GPU (e.g. h100-80) instead of the local one")
    parser.add_argument("--memory-gib", type=_gibibytes, metavar="N", help="plan for a GPU with N GiB")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the plan. Raises `UserError` for a mistake in the experiment, and for a step that does not fit."""
    from effreason.commands import calibrated
    from effreason.cost import Spent, spent_on
    from effreason.planning import CPU, Calibrations, chosen, earlier, plan
    from effreason.store import open_store

    experiment = _experiment(options.experiment)
    here = experiment.runtime.device == "cpu" and options.gpu is None and options.memory_gib is None
    device = CPU if here else chosen(options.gpu, options.memory_gib)
    store = open_store(experiment.store)
    planned = plan(experiment, store.find, device)
    known = Calibrations(list(earlier(store.addresses(), store.find, device, experiment.runtime)))
    done = Spent.all_of(spent_on(made) for step in planned if step.done and (made := store.find(step.spec.address)))
    print("\n".join(table(planned, device, known)))
    print("\n".join(_breakdown(planned, device)))
    print(_total(experiment, planned, device))
    print("\n".join(calibrated.lines(planned, known, device)))
    print("".join(f"{line}\n" for line in calibrated.bill(experiment, planned, known, device, done)), end="")
    print("\n".join(_unknown(experiment)), end="")
    print("".join(f"{caution}\n" for caution in experiment.cautions()), end="")
    _refuse_what_does_not_fit(experiment, planned, device)
    return 0


def table(planned: Sequence["PlannedStep"], device: "Device", known: "Calibrations") -> list[str]:
    """The plan as lines of text, one a step."""
    from effreason.commands.calibrated import likely, time

    expected = [likely(step, known) for step in planned]
    wide = max(len("likely [95%]"), *map(len, expected))
    width = max(len(step.label) for step in planned)
    lines = [f"{'step':{width}}  state    tokens     memory  fits     disk     time  {'likely [95%]':{wide}}  address"]
    for step, usual in zip(planned, expected, strict=True):
        tokens, memory, disk, seconds = step.cost
        needed = f"{_gib(memory.peak) if memory else '?':>9}  {_fits(memory, device):4}"
        figures = f"{_count(tokens):>6}  {needed}  {_bytes(disk):>7}  {time(seconds):>7}  {usual:{wide}}"
        lines.append(f"{step.label:{width}}  {'done ' if step.done else 'to do'}    {figures}  {step.spec.address}")
    return lines


def _experiment(reference: str) -> "Experiment":
    """Pinned; or as it is written, where the hub cannot be asked."""
    from effreason.errors import StepFailure
    from effreason.experiment_file import load, locate, prepared

    try:
        return prepared(reference)
    except StepFailure as failure:
        print(
            f"effreason: {failure.happened} The plan uses revisions as written, so it does not recognise "
            "finished steps, and addresses will differ.",
            file=sys.stderr,
        )
        return _with_absolute_folders(load(reference), locate(reference).parent)


def _with_absolute_folders(experiment: "Experiment", base: Path) -> "Experiment":
    from effreason.choices import FolderModel

    models = (
        model.model_copy(update={"path": str((base / model.path).resolve())})
        if isinstance(model, FolderModel)
        else model
        for model in experiment.models
    )
    return experiment.model_copy(update={"models": tuple(models)})


def _breakdown(planned: Sequence["PlannedStep"], device: "Device") -> Iterator[str]:
    """Where the memory goes, once for each model's training and each model's evaluation."""
    yield f"\nMemory at the fullest moment, of {_gib(device.memory)} on {device.name}:"
    seen: set[str] = set()
    for step in planned:
        memory, subject = step.cost.memory, _subject(step)
        if memory is None or subject is None or subject in seen:
            continue
        seen.add(subject)
        yield f"  {subject}; completions side by side: {memory.rows}"
        for phase in memory.phases:
            overhead = phase.bytes - phase.used
            parts = ", ".join(f"{part.name} {_gib(part.bytes)}" for part in phase.parts)
            yield f"    {phase.name} {_gib(phase.bytes)}: {parts}, overhead {_gib(overhead)}"


def _subject(step: "PlannedStep") -> str | None:
    """What steps that need the same memory have in common; None for those that load no model."""
    from effreason.specs import EvaluateSpec, TrainSpec

    if isinstance(step.spec, TrainSpec | EvaluateSpec):
        return f"{step.spec.step} {step.spec.model.name}"
    return None


def _refuse_what_does_not_fit(experiment: "Experiment", planned: Sequence["PlannedStep"], device: "Device") -> None:
    from effreason.errors import UserError

    too_large: dict[str, PlannedStep] = {}
    for step in planned:
        if not step.done and step.cost.memory is not None and step.cost.memory.peak > device.memory:
            too_large.setdefault(_subject(step) or step.label, step)
    if not too_large:
        return
    for subject, step in too_large.items():
        print("\n".join(_what_to_change(subject, step, experiment, device)))
    sys.stdout.flush()
    raise UserError(
        f"{experiment.name} does not fit {_gib(device.memory)} on {device.name}: {', '.join(too_large)}.",
        "Apply one of the changes above, or use a larger GPU.",
    )


def _what_to_change(subject: str, step: "PlannedStep", experiment: "Experiment", device: "Device") -> Iterator[str]:
    from effreason.catalogue import shape
    from effreason.planning import GPUS, remedies
    from effreason.planning.costs import Setting, sampling_of
    from effreason.specs import TrainSpec

    memory, known = step.cost.memory, shape(step.spec.model) if isinstance(step.spec, TrainSpec) else None
    assert memory is not None  # noqa: S101  the caller compared it
    yield f"\n{subject} needs {_gib(memory.peak)}. What to change, the gentlest first:"
    if isinstance(step.spec, TrainSpec) and known is not None:
        asked = sampling_of(step.spec, Setting.of(experiment.prepare_spec(), experiment.runtime))
        for remedy in remedies(known, step.spec.training, asked, device, experiment.runtime):
            yield f"  {remedy.change}: {_gib(remedy.memory)}{', fits' if remedy.fits else ''}"
    larger = [gpu.name for gpu in GPUS.values() if gpu.memory >= memory.peak]
    yield f"  a GPU with {_gib(memory.peak)}{f', such as {larger[0]}' if larger else ', which the catalogue lacks'}"


def _unknown(experiment: "Experiment") -> Iterator[str]:
    """A line for each model whose shape nobody knows."""
    from effreason.catalogue import nearest, shape
    from effreason.choices import HubModel

    for model in experiment.models:
        if shape(model) is None:
            id = model.id if isinstance(model, HubModel) else ""
            meant = f"; did you mean {nearest(id)}?" if nearest(id) else "."
            yield f"The shape of {model.name} is not known before it is loaded{meant}\n"


def _total(experiment: "Experiment", planned: Sequence["PlannedStep"], device: "Device") -> str:
    from effreason.commands.calibrated import time

    left = [step for step in planned if not step.done]
    if not left:
        return f"\nAll {len(planned)} steps of {experiment.name} are done; a run would only print the results."
    tokens = sum(step.cost.tokens for step in left)
    known = [step.cost.seconds for step in left if step.cost.seconds is not None]
    lasting = f"about {time(sum(known))} one after another" if len(known) == len(left) else "time unknown"
    return (
        f"\n{len(left)} of {len(planned)} steps to do: about {_count(tokens)} generated tokens, {lasting} on "
        f"{device.name}."
        "\nEstimates without an interval, by the formulas of docs/memory.md: tokens are as the base model measured,\n"
        "or half the limit; memory is for one step; times assume shares of a data sheet's rates."
    )


def _gibibytes(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of GiB above 0")
    return number


def _fits(memory: "Memory | None", device: "Device") -> str:
    if memory is None:
        return "?"
    return "yes" if memory.peak <= device.memory else "no"


def _count(number: int) -> str:
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= size:
            return f"{number / size:.1f}{unit}"
    return str(number)


def _gib(number: int) -> str:
    return f"{number / 2**30:.1f} GiB" if number >= 1 << 28 else f"{number / 2**20:.0f} MiB"


def _bytes(number: int | None) -> str:
    if number is None:
        return "?"
    for unit, size in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number / 1000:.0f} kB"
