"""Where, when and at what cost each step ran: the artifacts that the report was read from."""

from collections.abc import Iterator
from typing import NamedTuple

from effreason import cost
from effreason.artifacts import Manifest, Provenance
from effreason.choices import Price
from effreason.cost import Spent, spent_on
from effreason.figures import thousands
from effreason.report.method import Fact
from effreason.report.schema import CostOf
from effreason.report.sheets import Field, Line
from effreason.report.sweep import Sweep, before_of

WORDS = {"prepare": "Data", "train": "Training", "evaluate": "Evaluation"}


class Step(NamedTuple):
    """One artifact that the report was read from."""

    label: str
    address: str
    started: str
    """UTC, to the minute."""
    spent: Spent
    gpu_hours: str
    money: str
    """Empty where there is no price."""
    environment: int
    """Its place in `environments`, counted from 1."""


class Cost(NamedTuple):
    """All steps of one kind, as text."""

    kind: str
    steps: int
    time: str
    gpu_hours: str
    core_hours: str
    tokens: str
    money: str
    """Empty where there is no price."""


def steps(sweep: Sweep) -> list[Step]:
    """Every artifact, in the order in which they build on each other."""
    known = environments(sweep)
    return [_step(label, manifest, known, sweep.price) for label, manifest in _artifacts(sweep).items()]


def costs(sweep: Sweep) -> list[Cost]:
    """By kind of step, and at the end all together."""
    return [_cost(kind, spent, sweep) for kind, spent in spent_by_kind(sweep).items()]


def notes(sweep: Sweep) -> str:
    """What is to be known of the sums."""
    return cost.notes([Spent.all_of(step.spent for step in steps(sweep))], sweep.price)


def spent_by_kind(sweep: Sweep) -> dict[str, Spent]:
    """By the words for the kind of step; all together under `All`."""
    told = steps(sweep)
    kinds = {word: [each for each in told if each.address.startswith(f"{kind}/")] for kind, word in WORDS.items()}
    return {kind: Spent.all_of(step.spent for step in part) for kind, part in {**kinds, "All": told}.items() if part}


def cost_of_sweep(sweep: Sweep) -> list[CostOf]:
    """The same for report.json."""
    return [
        CostOf(
            steps=kind.lower(),
            number=spent.steps,
            seconds=spent.seconds,
            gpu_seconds=spent.gpu_seconds,
            core_seconds=None if spent.uncounted else spent.core_seconds,
            generated_tokens=spent.tokens,
            money=spent.money(sweep.price) if sweep.price and not spent.unpriced(sweep.price) else None,
            currency=sweep.price.currency if sweep.price else None,
        )
        for kind, spent in spent_by_kind(sweep).items()
    ]


def lines(sweep: Sweep) -> Iterator[Line]:
    """One a step."""
    for step, manifest in zip(steps(sweep), _artifacts(sweep).values(), strict=True):
        yield {
            "step": step.label,
            "address": step.address,
            "started_utc": manifest.provenance.started,
            **_figures(step.spent, sweep),
            "commit": manifest.provenance.commit,
            "version": manifest.provenance.version,
            **{f"hardware_{name}": value for name, value in manifest.provenance.hardware.items()},
            **{f"package_{name}": version for name, version in manifest.provenance.packages.items()},
        }


def _figures(spent: Spent, sweep: Sweep) -> dict[str, Field]:
    figures: dict[str, Field] = {
        "seconds": spent.seconds,
        "gpu_seconds": spent.gpu_seconds,
        "core_seconds": None if spent.uncounted else spent.core_seconds,
        "generated_tokens": spent.tokens,
    }
    if sweep.price is not None:
        amount = None if spent.unpriced(sweep.price) else spent.money(sweep.price)
        figures[f"money_{sweep.price.currency}"] = amount
    return figures


def environments(sweep: Sweep) -> list[tuple[Fact, ...]]:
    """Where the steps ran, each place once."""
    return list(dict.fromkeys(_environment(manifest.provenance) for manifest in _artifacts(sweep).values()))


def _artifacts(sweep: Sweep) -> dict[str, Manifest]:
    found = {"problems": sweep.problems}
    for run in sweep.runs:
        found[f"{run.cell.model} {before_of(run.cell)}, measured"] = run.baseline
        if run.policy:
            found[f"{run.cell.model} {run.label}, trained"] = run.policy
        found[f"{run.cell.model} {run.label}, measured"] = run.after
    found |= {f"{reference.model} asked to be brief, measured": made for reference, made in sweep.references if made}
    return found


def _step(label: str, manifest: Manifest, known: list[tuple[Fact, ...]], price: Price | None) -> Step:
    spent = spent_on(manifest)
    return Step(
        label=label,
        address=manifest.address,
        started=manifest.provenance.started[:16].replace("T", " "),
        spent=spent,
        gpu_hours=cost.gpu_hours(spent),
        money=cost.money(spent, price) if price else "",
        environment=known.index(_environment(manifest.provenance)) + 1,
    )


def _cost(kind: str, spent: Spent, sweep: Sweep) -> Cost:
    return Cost(
        kind=kind,
        steps=spent.steps,
        time=cost.clock(spent.seconds),
        gpu_hours=cost.gpu_hours(spent),
        core_hours=cost.core_hours(spent),
        tokens=thousands(spent.tokens) if spent.tokens else "none",
        money=cost.money(spent, sweep.price) if sweep.price else "",
    )


def _environment(provenance: Provenance) -> tuple[Fact, ...]:
    commit = provenance.commit or "not recorded"
    return (
        Fact("Commit", commit + (" with uncommitted changes" if provenance.dirty else "")),
        Fact("effreason, Python", f"{provenance.version}, {provenance.python}"),
        Fact("Image", provenance.image or "none"),
        Fact("Packages", ", ".join(f"{name} {version}" for name, version in provenance.packages.items())),
        Fact("Hardware", ", ".join(f"{name} {value}" for name, value in provenance.hardware.items())),
    )
