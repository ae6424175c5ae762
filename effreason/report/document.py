"""A sweep as report.json tells it: test suites only, since alpha was chosen on the validation part."""

from collections.abc import Sequence
from dataclasses import fields

from effreason.evaluation.difficulty import ByDifficulty
from effreason.faithfulness.paired import FaithfulnessChange
from effreason.problems.files import VALIDATION
from effreason.report.costs import cost_of_sweep
from effreason.report.probed import Probed
from effreason.report.probing import RATES
from effreason.report.schema import (
    AlarmOf,
    Baseline,
    Behaviour,
    BehaviourChanged,
    Changed,
    Difficulty,
    DifficultyBin,
    Document,
    Effect,
    EqualBudget,
    FaithfulnessOf,
    Limits,
    Measured,
    Penalised,
    Recommended,
    ReportedCell,
    Signs,
)
from effreason.report.subjects import Subject
from effreason.report.sweep import Beside, Row, Run, Sweep

BIN = (
    "tokens_before", "tokens_after", "token_reduction", "accuracy_before", "accuracy_after", "accuracy_change",
)  # fmt: skip
SLOPES = ("reduction_slope", "tokens_slope_before", "tokens_slope_after", "adaptation_before", "adaptation_after")
SCORES = ("area_before", "area_after", "tokens_per_right_before", "tokens_per_right_after", "aes", "aes_strict")


def document(sweep: Sweep) -> Document:
    """The content of report.json."""
    return Document(
        experiment=sweep.spec.experiment,
        recommended={
            finding.model: Recommended(alpha=finding.recommendation.alpha, reason=finding.recommendation.reason)
            for finding in sweep.findings
            if finding.recommendation
        },
        cells=tuple(_cell(row) for row in sweep.rows if not row.validation),
        held_back=sweep.spec.held_back,
        baselines=tuple(_baseline(beside) for beside in sweep.besides if beside.part != VALIDATION),
        effects=tuple(_effect(subject) for subject in sweep.subjects if subject.effect),
        behaviour=tuple(map(_behaviour, sweep.subjects)),
        faithfulness=tuple(map(_faithfulness, sweep.probed)),
        alarms=tuple(alarm for run in sweep.runs if (alarm := _alarm(run))),
        costs=tuple(cost_of_sweep(sweep)),
    )


def _cell(row: Row) -> ReportedCell:
    cell = row.cell
    return ReportedCell(
        model=cell.model,
        suite=row.part,
        algorithm=cell.algorithm,
        penalty=Penalised(kind=cell.penalty, strength=cell.alpha),
        alpha=cell.alpha,
        seed=cell.seed,
        baseline=Measured.of(row.baseline),
        after=Measured.of(row.after),
        change=Changed.of(row.change),
    )


def _baseline(beside: Beside) -> Baseline:
    return Baseline(
        model=beside.model,
        suite=beside.part,
        kind=beside.label,
        measured=Measured.of(beside.measures),
        change=Changed.of(beside.change),
    )


def _effect(subject: Subject) -> Effect:
    assert subject.effect  # noqa: S101  the caller has looked
    comparison, scores, cut = subject.effect.comparison, subject.effect.efficiency, subject.effect.spending
    scales = (subject.effect.by_solve_rate, subject.effect.by_source)
    return Effect(
        model=subject.model,
        suite=subject.suite,
        subject=subject.label,
        alpha=subject.alpha,
        token_reduction_by_problem=Limits.of(comparison.token_reduction_by_problem),
        accuracy_signs=Signs.of(comparison.accuracy_signs),
        token_signs=Signs.of(comparison.token_signs),
        longest=scores.longest,
        **_limits(scores, SCORES),
        equal_budget=cut and EqualBudget(limit=cut.limit, accuracy=Limits.of(cut.accuracy), gain=Limits.of(cut.gain)),
        difficulty=tuple(_difficulty(scale) for scale in scales if scale),
        behaviour={
            kind: BehaviourChanged(
                per_problem=Limits.of(change.per_problem), per_1000_tokens=Limits.of(change.per_1000_tokens)
            )
            for kind, change in subject.effect.behaviour.items()
        },
    )


def _difficulty(scale: ByDifficulty) -> Difficulty:
    bins = (
        DifficultyBin(label=each.label, low=each.low, high=each.high, problems=each.problems, **_limits(each, BIN))
        for each in scale.bins
    )
    return Difficulty(scale=scale.scale, bins=tuple(bins), **_limits(scale, SLOPES))


def _behaviour(subject: Subject) -> Behaviour:
    told = {kind: measures.everything for kind, measures in subject.behaviour.items()}
    return Behaviour(
        model=subject.model,
        suite=subject.suite,
        subject=subject.label,
        per_problem={kind: Limits.of(rates.per_problem) for kind, rates in told.items()},
        per_1000_tokens={kind: Limits.of(rates.per_1000_tokens) for kind, rates in told.items()},
    )


def _faithfulness(probed: Probed) -> FaithfulnessOf:
    names = [field.name for field in fields(FaithfulnessChange) if field.name != "problems"]
    return FaithfulnessOf(
        model=probed.model,
        suite=probed.suite,
        subject=probed.label,
        problems=probed.measures.problems,
        agreement={kept: Limits.of(rate) for kept, rate in probed.measures.agreement.items()},
        rates=_limits(probed.measures, RATES),
        change=_limits(probed.change, names) if probed.change else None,
    )


def _alarm(run: Run) -> AlarmOf | None:
    if run.curve is None or run.curve.alarm is None:
        return None
    step, sentence = run.curve.alarm
    return AlarmOf(model=run.cell.model, alpha=run.cell.alpha, seed=run.cell.seed, step=step, sentence=sentence)


def _limits(record: object, names: Sequence[str]) -> dict[str, Limits | None]:
    return {name: Limits.of(getattr(record, name)) for name in names}
