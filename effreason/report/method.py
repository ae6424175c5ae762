"""How the figures came about: protocols, training, data, and the choice of alpha. `costs` tells what it took."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from effreason.choices import KlInLoss, Model, Ppo
from effreason.frozen import Frozen
from effreason.report.sweep import CONCISE, Sweep, evaluation_spec_of, problems_of, training_spec_of
from effreason.specs import Asking, PrepareSpec, Training


class Fact(NamedTuple):
    """One line of a list of terms."""

    term: str
    value: str


class Facts(NamedTuple):
    """One list of terms. Made by `facts`; drawn by the page."""

    title: str
    lines: Sequence[Fact]


def facts(sweep: Sweep) -> list[Facts]:
    """What was asked for. Every cell of a sweep shares it but for model, alpha and seed."""
    found = {
        "Measurement": _measurement(sweep),
        "Training": _training(sweep),
        "Data": _data(sweep),
        "Choice of alpha": _choice(sweep),
        "Models": _models(sweep),
    }
    return [Facts(title, lines) for title, facts in found.items() if (lines := list(facts))]


def _measurement(sweep: Sweep) -> Iterator[Fact]:
    spec = evaluation_spec_of(sweep.runs[0].baseline)
    askings = {part: spec.asking(part) for part in sweep.parts}
    shared = len({_asked(asking) for asking in askings.values()}) == 1
    for part, asking in list(askings.items())[: 1 if shared else None]:
        where = "" if shared else f" on {part}"
        yield from (Fact(fact.term + where, fact.value) for fact in _asked(asking))
    yield Fact("Seed", f"{spec.protocol.seed}, the same random numbers for every model")
    for reference, _ in sweep.references:
        asked = f"“{reference.instruction}” after every question"
        yield Fact(f"{reference.model}, {CONCISE}", f"not measured: {reference.reason}" if reference.reason else asked)


def _asked(asking: Asking) -> tuple[Fact, ...]:
    protocol = asking.protocol
    return (
        Fact("Completions per problem", str(protocol.samples)),
        Fact("Temperature, top-p", f"{protocol.temperature:g}, {protocol.top_p:g}"),
        Fact("Token limit", f"{protocol.max_tokens}; a completion that reaches it counts as wrong"),
        Fact("Prompt", _plain(asking.prompt)),
    )


def _training(sweep: Sweep) -> Iterator[Fact]:
    policies = [run.policy for run in sweep.runs if run.policy]
    if not policies:
        return
    training = training_spec_of(policies[0]).training
    yield Fact("Algorithm", _plain(training.algorithm))
    yield Fact("Penalty, schedule of alpha", f"{_plain(training.penalty)}; {_plain(training.schedule)}")
    yield Fact(
        "Steps",
        f"{training.steps} of {training.prompts_per_step} prompts × {training.completions_per_prompt} completions, "
        f"{training.updates_per_step} update{'s' * (training.updates_per_step > 1)} each",
    )
    yield Fact("Learning rate", f"{training.learning_rate:g} after {training.warmup_steps} steps of warm-up")
    yield Fact("Temperature", f"{training.temperature:g}")
    yield Fact("Token limit", str(training.max_tokens))
    yield Fact("Objective, loss", f"{_plain(training.objective)}; {training.loss}")
    yield Fact("KL", _plain(training.kl))
    yield Fact("Left out of the update", _left_out(training))
    yield Fact("Weights", _plain(training.weights))
    yield Fact("Seeds", ", ".join(map(str, sweep.seeds)))


def _left_out(training: Training) -> str:
    """The filter, where the algorithm has a use for it."""
    if isinstance(training.algorithm, Ppo):
        return "what could not be judged; the values learn from all the rest"
    if isinstance(training.kl, KlInLoss):
        return "nothing: KL in the loss is of every completion"
    return _plain(training.filter)


def _data(sweep: Sweep) -> Iterator[Fact]:
    problems, spec = problems_of(sweep.problems), sweep.problems.spec
    assert isinstance(spec, PrepareSpec)  # noqa: S101  what a Problems artifact answers
    yield Fact("Training problems", f"{problems.train} of {_plain(spec.source)}")
    yield Fact("Validation problems", f"{problems.validation}, kept apart for choosing alpha")
    for suite in spec.suites:
        far = ", out of distribution" if suite.name in sweep.spec.out_of_distribution else ""
        yield Fact(f"Suite {suite.name}", f"{problems.suites[suite.name]} problems of {_plain(suite.source)}{far}")
    dropped = "; ".join(f"{reason}: {number}" for reason, number in problems.dropped.items())
    yield Fact("Rows left out", dropped or "none")
    yield Fact("Seed of the draw", str(spec.seed))


def _models(sweep: Sweep) -> Iterator[Fact]:
    models: dict[str, Model] = {}
    for run in sweep.runs:
        before = evaluation_spec_of(run.baseline).model
        models[run.cell.names[0] if run.cell.names else run.cell.model] = before
        if run.cell.names:
            models[run.cell.names[1]] = evaluation_spec_of(run.after).model
    yield from (Fact(name, _plain(model)) for name, model in models.items())


def _choice(sweep: Sweep) -> Iterator[Fact]:
    if sweep.compared:
        return
    selection = sweep.spec.selection
    yield Fact("Rule", "the largest token reduction among the alphas above 0 whose accuracy stays within the limit")
    yield Fact("Limit", f"a loss of {100 * selection.max_accuracy_loss:g} points of accuracy")
    joint = f"{100 * selection.confidence:g}%, one-sided, jointly over all alphas, on the validation part"
    yield Fact("Confidence", joint)


def _plain(choice: Frozen) -> str:
    """A choice in words: its kind, and whatever else was set."""
    return _said(choice.model_dump(mode="json", exclude_none=True))


def _said(fields: Mapping[str, object]) -> str:
    kind = [str(fields[name]) for name in ("source", "kind") if name in fields]
    others = {name: value for name, value in fields.items() if name not in ("source", "kind")}
    rest = [f"{name.replace('_', ' ')} {_value(value)}" for name, value in others.items()]
    return ", ".join(kind + rest)


def _value(value: object) -> str:
    if isinstance(value, dict):
        return f"({_said(value)})"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value).lower()
