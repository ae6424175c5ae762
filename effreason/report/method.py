"""How the figures came about: protocol, training, data, and where, when and at what cost each step ran."""

import json
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from effreason.artifacts import Manifest, Provenance
from effreason.choices import Model
from effreason.frozen import Frozen
from effreason.report.figures import duration, thousands
from effreason.report.sweep import Sweep, evaluation_of, evaluation_spec_of, policy_of, problems_of, training_spec_of
from effreason.specs import PrepareSpec


class Fact(NamedTuple):
    """One line of a list of terms."""

    term: str
    value: str


class Facts(NamedTuple):
    """One list of terms. Made by `facts`; drawn by page.html."""

    title: str
    lines: Sequence[Fact]


class Step(NamedTuple):
    """One artifact that the report was read from."""

    label: str
    address: str
    started: str
    """UTC, to the minute."""
    seconds: float
    generated_tokens: str
    """A dash for a step that generates nothing."""
    environment: int
    """Its place in `environments`, counted from 1."""


def facts(sweep: Sweep) -> list[Facts]:
    """What was asked for. Every cell of a sweep shares it but for model, alpha and seed."""
    return [
        Facts("Measurement", list(_measurement(sweep))),
        Facts("Training", list(_training(sweep))),
        Facts("Data", list(_data(sweep))),
        Facts("Choice of alpha", list(_choice(sweep))),
        Facts("Models", list(_models(sweep))),
    ]


def steps(sweep: Sweep) -> list[Step]:
    """Every artifact that the report was read from, in the order in which they build on each other."""
    known = environments(sweep)
    return [
        Step(
            label=label,
            address=manifest.address,
            started=manifest.provenance.started[:16].replace("T", " "),
            seconds=manifest.provenance.seconds,
            generated_tokens=thousands(_generated(manifest)) if _generated(manifest) else "–",
            environment=known.index(_environment(manifest.provenance)) + 1,
        )
        for label, manifest in _artifacts(sweep)
    ]


def cost(sweep: Sweep) -> str:
    """What all steps together took."""
    manifests = [manifest for _, manifest in _artifacts(sweep)]
    tokens = thousands(sum(map(_generated, manifests)))
    return f"{tokens} generated tokens and {duration(sum(each.provenance.seconds for each in manifests))} of work"


def environments(sweep: Sweep) -> list[tuple[Fact, ...]]:
    """Where the steps ran, each place once."""
    return list(dict.fromkeys(_environment(manifest.provenance) for _, manifest in _artifacts(sweep)))


def _measurement(sweep: Sweep) -> Iterator[Fact]:
    spec = evaluation_spec_of(sweep.runs[0].baseline)
    protocol = spec.protocol
    yield Fact("Completions of each problem", str(protocol.samples))
    yield Fact("Temperature, top-p", f"{protocol.temperature:g}, {protocol.top_p:g}")
    yield Fact("Token limit", f"{protocol.max_tokens}; a completion that reaches it counts as wrong")
    yield Fact("Seed", f"{protocol.seed}, the same random numbers for every model")
    yield Fact("Prompt", _plain(spec.prompt))


def _training(sweep: Sweep) -> Iterator[Fact]:
    training = training_spec_of(sweep.runs[0].policy).training
    yield Fact(
        "Algorithm", f"{training.algorithm}, {training.advantage.kind} advantages, {training.penalty.kind} penalty"
    )
    yield Fact(
        "Steps",
        f"{training.steps} of {training.prompts_per_step} prompts × {training.completions_per_prompt} completions, "
        f"{training.updates_per_step} update{'s' * (training.updates_per_step > 1)} each",
    )
    yield Fact("Learning rate", f"{training.learning_rate:g} after {training.warmup_steps} steps of warm-up")
    yield Fact("Temperature", f"{training.temperature:g}")
    yield Fact("Token limit", str(training.max_tokens))
    yield Fact("Clip, KL weight", f"{training.clip:g}, {training.kl:g}")
    yield Fact("Weights", _plain(training.weights))
    yield Fact("Seeds", ", ".join(map(str, sweep.seeds)))


def _data(sweep: Sweep) -> Iterator[Fact]:
    problems, spec = problems_of(sweep.problems), sweep.problems.spec
    assert isinstance(spec, PrepareSpec)  # noqa: S101  what a Problems artifact answers
    yield Fact("Training problems", f"{problems.train} of {_plain(spec.source)}")
    yield Fact("Validation problems", f"{problems.validation}, kept apart for choosing alpha")
    for suite in spec.suites:
        yield Fact(f"Test suite {suite.name}", f"{problems.suites[suite.name]} problems of {_plain(suite.source)}")
    dropped = "; ".join(f"{reason}: {number}" for reason, number in problems.dropped.items())
    yield Fact("Rows left out", dropped or "none")
    yield Fact("Seed of the draw", str(spec.seed))


def _models(sweep: Sweep) -> Iterator[Fact]:
    models: dict[str, Model] = {run.cell.model: evaluation_spec_of(run.baseline).model for run in sweep.runs}
    yield from (Fact(name, _plain(model)) for name, model in models.items())


def _choice(sweep: Sweep) -> Iterator[Fact]:
    selection = sweep.spec.selection
    yield Fact("Rule", "the largest token reduction among the alphas above 0 that surely keep the accuracy")
    yield Fact("Limit", f"a loss of {100 * selection.max_accuracy_loss:g} points of accuracy")
    yield Fact("Confidence", f"{100 * selection.confidence:g}%, one-sided, on the validation part")


def _plain(choice: Frozen) -> str:
    """A choice in words: its kind, and whatever else was set."""
    fields = choice.model_dump(mode="json", exclude_none=True)
    kind = [str(fields.pop(name)) for name in ("source", "kind") if name in fields]
    rest = [f"{name.replace('_', ' ')} {_quoted(value)}" for name, value in fields.items()]
    return ", ".join(kind + rest)


def _quoted(value: object) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (str, dict)) else str(value)


def _artifacts(sweep: Sweep) -> list[tuple[str, Manifest]]:
    found = {"problems": sweep.problems}
    for run in sweep.runs:
        label = f"{run.cell.model} α {run.cell.alpha:g} s{run.cell.seed}"
        found[f"{run.cell.model} as it comes, measured"] = run.baseline
        found[f"{label}, trained"] = run.policy
        found[f"{label}, measured"] = run.after
    return list(found.items())


def _generated(manifest: Manifest) -> int:
    match manifest.artifact.step:
        case "train":
            return policy_of(manifest).generated_tokens
        case "evaluate":
            return evaluation_of(manifest).generated_tokens
    return 0


def _environment(provenance: Provenance) -> tuple[Fact, ...]:
    commit = provenance.commit or "not recorded"
    return (
        Fact("Commit", commit + (" with uncommitted changes" if provenance.dirty else "")),
        Fact("effreason, Python", f"{provenance.version}, {provenance.python}"),
        Fact("Image", provenance.image or "none"),
        Fact("Packages", ", ".join(f"{name} {version}" for name, version in provenance.packages.items())),
        Fact("Hardware", ", ".join(f"{name} {value}" for name, value in provenance.hardware.items())),
    )
