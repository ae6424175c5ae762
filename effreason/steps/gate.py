"""The gate step: a night's candidate, the champion and the base model on the same problems, and what follows."""

import json
from collections.abc import Iterator

from effreason.artifacts import Decision, Evaluation, Measured
from effreason.errors import StepFailure
from effreason.evaluation.completions import FILE, read_completions
from effreason.progress import Progress
from effreason.promotion.drift import drift
from effreason.promotion.gate import Models, Suites, checks, verdict
from effreason.promotion.page import page
from effreason.specs import Address, GateSpec
from effreason.workbench import Workbench


def make(spec: GateSpec, bench: Workbench) -> Decision:
    """Decide on the candidate, and write night.md and night.json: the decision and the drift.

    Raises:
        StepFailure: an evaluation or the decision of an earlier night is missing or damaged.
    """
    assert spec.candidate.policy  # noqa: S101  the base model is no candidate
    bench.tell(Progress(phase="load", done=0, total=0))
    models = Models(*(_completions(each.evaluation, bench) for each in (spec.candidate, spec.champion, spec.base)))
    found = tuple(checks(spec, models))
    decision = Decision(
        address=spec.address,
        line=spec.line,
        night=spec.night,
        policy=spec.candidate.policy,
        promotes=all(each.refusal is None for each in found),
        reason=verdict(spec, found),
        checks=found,
        measured=tuple(_measured(spec, bench)),
    )
    figures = drift(decision.measured, [_decision(address, bench) for address in spec.past])
    told = {
        "decision": decision.model_dump(mode="json"),
        "drift": [figure.model_dump(mode="json") for figure in figures],
    }
    (bench.output / "night.md").write_text(page(spec, decision, figures), encoding="utf-8")
    (bench.output / "night.json").write_text(json.dumps(told, indent=2), encoding="utf-8")
    return decision


def _completions(evaluation: Address, bench: Workbench) -> Suites:
    suites = read_completions(bench.read(evaluation, [FILE])[1] / FILE)
    return {suite: completions.without_texts() for suite, completions in suites.items()}


def _measured(spec: GateSpec, bench: Workbench) -> Iterator[Measured]:
    """Yield the models' measures; the base model once, where it is the champion too."""
    contenders = {"candidate": spec.candidate, "champion": spec.champion, "base": spec.base}
    for who, contender in contenders.items():
        made = bench.read(contender.evaluation, [])[0].artifact
        assert isinstance(made, Evaluation)  # noqa: S101  what an evaluation is
        if who == "champion" and contender == spec.base:
            continue
        for suite in spec.suites:
            told = made.suites[suite]
            yield Measured.model_validate(
                {
                    "who": who,
                    "suite": suite,
                    "problems": told.problems,
                    "accuracy": told.accuracy,
                    "tokens": told.tokens,
                }
            )


def _decision(address: Address, bench: Workbench) -> Decision:
    made = bench.read(address, [])[0].artifact
    if not isinstance(made, Decision):
        raise StepFailure(f"{address} is not a nightly decision.", "Run the night again.")
    return made
