"""report.json: what other programs read. Its shape, and the labels that stand for models in it, change only together
with `SCHEMA_VERSION`.

Rates are fractions, never percent; an interval is null where there is too little data.
"""

import json
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from effreason.artifacts import Interval, Measures
from effreason.evaluation.measures import Change
from effreason.evaluation.paired import SignTest

SCHEMA_VERSION: Literal[5] = 5


class Told(BaseModel):
    """One object of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, serialize_by_alias=True)


class Limits(Told):
    """A 95% confidence interval."""

    low: float
    centre: float
    high: float

    @classmethod
    def of(cls, interval: Interval | None) -> Self | None:
        return None if interval is None else cls(low=interval.low, centre=interval.centre, high=interval.high)


class Measured(Told):
    """One model on one suite."""

    problems: int
    samples: int
    """Completions of each problem."""
    accuracy: Limits | None
    tokens: Limits | None
    """Mean tokens of a completion."""
    truncated: Limits | None
    """Share of completions that the token limit cut off."""
    pass_at: dict[str, float]
    """By k; one that could not be estimated is left out."""

    @classmethod
    def of(cls, measures: Measures) -> Self:
        return cls(
            problems=measures.problems,
            samples=measures.samples,
            accuracy=Limits.of(measures.accuracy),
            tokens=Limits.of(measures.tokens),
            truncated=Limits.of(measures.truncated),
            pass_at={k: estimate.centre for k, estimate in measures.pass_at.items() if estimate is not None},
        )


class Changed(Told):
    """From the baseline to the model after training, paired by problem."""

    accuracy: Limits | None
    """After less before."""
    token_reduction: Limits | None
    """1 - mean tokens after / mean tokens before."""

    @classmethod
    def of(cls, change: Change) -> Self:
        return cls(accuracy=Limits.of(change.accuracy), token_reduction=Limits.of(change.token_reduction))


class Penalised(Told):
    """The length penalty of a training run."""

    kind: str
    strength: float | None
    """What the penalty calls its strength; alpha, where it has one."""


class ReportedCell(Told):
    """One training run, measured on one test suite."""

    model: str
    suite: str
    algorithm: str
    penalty: Penalised
    alpha: float | None
    seed: int
    baseline: Measured
    after: Measured
    change: Changed


class Baseline(Told):
    """A base model, measured in another way, on one test suite: what a training run has to beat."""

    model: str
    suite: str
    kind: str
    """`asked to be brief`, or `cut off at … tokens`: where it spends what the recommended alpha spends."""
    measured: Measured
    change: Changed


class Signs(Told):
    """Problems on which a model did better, worse, and the same."""

    better: int
    worse: int
    equal: int
    p: float
    """Two-sided and exact."""

    @classmethod
    def of(cls, test: SignTest | None) -> Self | None:
        return None if test is None else cls(better=test.better, worse=test.worse, equal=test.equal, p=test.p)


class DifficultyBin(Told):
    """Problems of like difficulty."""

    label: str
    low: float
    high: float
    problems: int
    tokens_before: Limits | None
    tokens_after: Limits | None
    token_reduction: Limits | None
    accuracy_before: Limits | None
    accuracy_after: Limits | None
    accuracy_change: Limits | None


class Difficulty(Told):
    """Spending by difficulty on one scale."""

    scale: str
    """`solve rate` (difficulty is 1 less that of the base model) or `source`."""
    bins: tuple[DifficultyBin, ...]
    reduction_slope: Limits | None
    """Per unit of difficulty, as are the next two."""
    tokens_slope_before: Limits | None
    tokens_slope_after: Limits | None
    adaptation_before: Limits | None
    """Mean tokens on the hardest over those on the easiest problems."""
    adaptation_after: Limits | None


class EqualBudget(Told):
    """The base model, truncated where it spends what the other spends."""

    limit: int
    accuracy: Limits | None
    gain: Limits | None
    """Accuracy of the other less its own."""


class BehaviourChanged(Told):
    """From the base model, paired by problem."""

    per_problem: Limits | None
    per_1000_tokens: Limits | None


class Effect(Told):
    """What became of a model on one test suite, all seeds together."""

    model: str
    suite: str
    subject: str
    """What it became, such as `α 0.2`."""
    alpha: float | None
    """Null where no training run of this project lies behind it."""
    token_reduction_by_problem: Limits | None
    """Mean of ratios."""
    accuracy_signs: Signs | None
    token_signs: Signs | None
    area_before: Limits | None
    """Accuracy within a token budget, averaged over all budgets up to `longest`."""
    area_after: Limits | None
    longest: int
    tokens_per_right_before: Limits | None
    tokens_per_right_after: Limits | None
    aes: Limits | None
    aes_strict: Limits | None
    equal_budget: EqualBudget | None
    difficulty: tuple[Difficulty, ...]
    behaviour: dict[str, BehaviourChanged]
    """By behaviour."""


class Behaviour(Told):
    """How often a model in one state shows each behaviour on one test suite, by behaviour."""

    model: str
    suite: str
    subject: str
    """`base model`, `asked to be brief` or such as `α 0.2`; in a comparison, the two models' names. So in every CSV."""
    per_problem: dict[str, Limits | None]
    per_1000_tokens: dict[str, Limits | None]


class AlarmOf(Told):
    """A training run in which the reward rose while the accuracy fell."""

    model: str
    alpha: float
    seed: int
    step: int
    sentence: str


class FaithfulnessOf(Told):
    """How far one model in one state relies on the reasoning that it shows, on one test suite."""

    model: str
    suite: str
    subject: str
    problems: int
    agreement: dict[str, Limits | None]
    """By fraction of the reasoning that is kept."""
    rates: dict[str, Limits | None]
    """By name, as in faithfulness.csv."""
    change: dict[str, Limits | None] | None
    """From the base model, on the problems that both solve; null for that itself."""


class CostOf(Told):
    """What the steps of one kind took when they were made, whichever run made them: measured, so without intervals."""

    steps: str
    """`data`, `training`, `evaluation` or `all`."""
    number: int
    seconds: float
    """Added up over steps, also over those that ran side by side."""
    gpu_seconds: float
    """0 where no step had a GPU."""
    core_seconds: float | None
    """Of the steps without a GPU; null where it is not recorded for all of them."""
    generated_tokens: int
    money: float | None
    """Null where no price was given, or none for a part of it."""
    currency: str | None


class Recommended(Told):
    """For one model, chosen on the validation part."""

    alpha: float | None
    """Null where no alpha keeps the accuracy."""
    reason: str


class Document(Told):
    """The whole file."""

    schema_version: Literal[5] = Field(SCHEMA_VERSION, alias="schema")
    experiment: str
    recommended: dict[str, Recommended]
    """By model."""
    cells: tuple[ReportedCell, ...]
    held_back: tuple[str, ...]
    """The labels of the other cells of the sweep, for whose training nothing was left of the budget."""
    baselines: tuple[Baseline, ...]
    effects: tuple[Effect, ...]
    behaviour: tuple[Behaviour, ...]
    faithfulness: tuple[FaithfulnessOf, ...]
    """Empty where no probes were asked."""
    alarms: tuple[AlarmOf, ...]
    costs: tuple[CostOf, ...]
    """By kind of step, and at the end all together."""


def json_schema() -> str:
    """The JSON Schema (draft 2020-12) of report.json."""
    schema = Document.model_json_schema(mode="serialization")
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}, indent=2)
