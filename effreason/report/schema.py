"""report.json: what other programs read. Its shape changes only together with `SCHEMA_VERSION`.

Rates are fractions, never percent; an interval is null where there is too little data.
"""

import json
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from effreason.artifacts import Interval, Measures
from effreason.evaluation.measures import Change

SCHEMA_VERSION: Literal[1] = 1


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
    """The length penalty of a training."""

    kind: str
    strength: float | None
    """What the penalty calls its strength; alpha, where it has one."""


class ReportedCell(Told):
    """One training, measured on one test suite."""

    model: str
    suite: str
    algorithm: str
    penalty: Penalised
    alpha: float | None
    seed: int
    baseline: Measured
    after: Measured
    change: Changed


class Recommended(Told):
    """For one model, chosen on the validation part."""

    alpha: float | None
    """Null where no alpha keeps the accuracy."""
    reason: str


class Document(Told):
    """The whole file."""

    schema_version: Literal[1] = Field(SCHEMA_VERSION, alias="schema")
    experiment: str
    recommended: dict[str, Recommended]
    """By model."""
    cells: tuple[ReportedCell, ...]


def json_schema() -> str:
    """The JSON Schema (draft 2020-12) of report.json."""
    schema = Document.model_json_schema(mode="serialization")
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}, indent=2)
