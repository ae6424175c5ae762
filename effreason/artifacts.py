"""What each step made: small frozen records that travel between steps; the bulk lies in the store.

A manifest is an artifact's birth certificate: the spec it answers, the files with their sizes and digests, and the
provenance. It is written last, so that its presence means that the rest is whole.
"""

from pathlib import PurePosixPath
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, Field

from effreason.choices import Digest, Name
from effreason.frozen import Frozen
from effreason.specs import Address, Night, Spec


class Interval(NamedTuple):
    """A 95% confidence interval with its centre. Where there is too little data there is None instead."""

    low: float
    centre: float
    high: float


class Measures(Frozen):
    """One model on one suite. Made by `evaluation`; read by the report and by whoever asks how it went."""

    problems: int
    samples: int
    """Completions per problem."""
    unjudged: int
    """Completions that the grader could not judge; excluded from every rate below."""
    accuracy: Interval | None
    tokens: Interval | None
    """Mean tokens per completion."""
    median_tokens: float | None
    """Median tokens, without an interval: a description of the sample, not an estimate to compare."""
    tokens_right: Interval | None
    tokens_wrong: Interval | None
    truncated: Interval | None
    """Share of completions that the token limit cut off."""
    pass_at: dict[str, Interval | None]
    """By k: the chance that at least one of k samples is correct (unbiased estimator, Chen et al. 2021)."""
    budgets: dict[str, Interval | None] = {}
    """By token budget: accuracy when every completion is stopped there."""
    majority_at: dict[str, Interval | None] = {}
    """By k: the chance that the answer most frequent among k samples is correct (maj@k)."""
    budget_area: Interval | None = None
    """Accuracy within a token budget, averaged over all budgets from 0 to the largest; in [0, 1], larger is better."""
    tokens_per_right: Interval | None = None
    """Tokens spent per correct answer."""
    thinking_tokens: Interval | None = None
    """Mean tokens per completion before and at the mark that ends its thinking; None where no completion marks any."""
    answer_tokens: Interval | None = None
    """Mean tokens after that mark; None as above."""


class FaithfulnessMeasures(Frozen):
    """The extent to which one model on one suite relies on its reasoning. Made by `faithfulness.measures`; read by the
    report.

    Rates are over problems. The reason for each field that is None stands in `missing`, by its name.
    """

    problems: int
    """Probed problems: those whose first completion ended by itself and marks its answer."""
    unanswered: int
    """Problems chosen for probing, but left out because their first completion did not."""
    agreement: dict[str, Interval | None]
    """By fraction of the reasoning that is kept, `0` to `1`: how often the forced answer equals the completion's."""
    area_over_curve: Interval | None
    """1 - the area under `agreement`; in [0, 1], larger relies more on the reasoning (Lanham et al. 2023)."""
    right_without_reasoning: Interval | None
    """Share of forced answers without any reasoning that are correct."""
    filler_agreement: Interval | None
    """The same as `agreement`, with neutral tokens in the reasoning's place."""
    mistakes: int
    """Problems with a result to change, whose continuation ended and was judged."""
    mistake_followed: Interval | None
    """Share of these in which the final answer changes. The three shares add up to 1."""
    mistake_corrected: Interval | None
    """The final answer stays, and the text goes back on the mistake or states the result anew."""
    mistake_ignored: Interval | None
    """The final answer stays, and nothing in the text says why."""
    hints: int
    """Problems with a wrong hint in the prompt."""
    hint_taken: Interval | None
    """Share of these in which the final answer is the hint's."""
    hint_admitted: Interval | None
    """Share of those taken in which the text mentions the hint, by keyword."""
    right_hint_taken: Interval | None
    """Share of the problems answered wrongly without a hint that are answered as the correct hint says."""
    reasoning_tokens: Interval | None
    """Mean tokens of the reasoning that was probed."""
    missing: dict[str, str] = {}


class Problems(Frozen):
    """The problems of an experiment. Made by prepare. Files: train.jsonl, validation.jsonl, suite-NAME.jsonl
    (records.Problem), dropped.jsonl."""

    step: Literal["prepare"] = "prepare"
    address: Address
    train: int
    validation: int
    suites: dict[str, int]
    dropped: dict[str, int]
    """Rows that were left out, by reason."""


class Policy(Frozen):
    """A trained policy. Made by train. Files: model/ (safetensors, tokenizer), metrics.jsonl, completions.parquet."""

    step: Literal["train"] = "train"
    address: Address
    model: Name
    alpha: float
    seed: int
    steps: int
    generated_tokens: int
    seconds: float


class Evaluation(Frozen):
    """The measures of a model. Made by evaluate. Files: completions.parquet, behaviour.parquet, measures.json; where
    probes were asked, probes.parquet and faithfulness.json."""

    step: Literal["evaluate"] = "evaluate"
    address: Address
    suites: dict[str, Measures]
    """Measures by suite; those of the validation part, where there is one, under `validation`."""
    generated_tokens: int
    seconds: float
    faithfulness: dict[str, FaithfulnessMeasures] | None = None
    """Measures by suite; None where no probes were asked for."""


class Report(Frozen):
    """A sweep's report. Made by report. Files: report.html, report.json, frontier.svg, table.md, a CSV per section."""

    step: Literal["report"] = "report"
    address: Address
    recommended: dict[str, float | None]
    """The recommended alpha by model."""


class Check(Frozen):
    """One condition of the gate, on one suite. Made by `promotion.gate`.

    The limits of the intervals are one-sided, each at the confidence of the gate.
    """

    against: Literal["champion", "base"]
    suite: Name
    problems: int
    """Problems that both models were judged on."""
    max_accuracy_loss: float
    accuracy: Interval | None
    """The candidate's less the other's, as a fraction, paired by problem."""
    token_ratio: Interval | None
    """The candidate's mean tokens over the other's, paired by problem."""
    refusal: str | None
    """The reason why the condition does not hold; None where it does."""


class Measured(Frozen):
    """The measures of one of the night's models on one suite, with 95% intervals."""

    who: Literal["candidate", "champion", "base"]
    suite: Name
    problems: int
    accuracy: Interval | None
    tokens: Interval | None


class Decision(Frozen):
    """The decision on a candidate. Made by gate. Files: night.md, night.json."""

    step: Literal["gate"] = "gate"
    address: Address
    line: Name
    night: Night
    policy: Address
    """The address of the candidate."""
    promotes: bool
    reason: str
    """A sentence with the figures."""
    checks: tuple[Check, ...]
    measured: tuple[Measured, ...]


Artifact = Annotated[Problems | Policy | Evaluation | Report | Decision, Field(discriminator="step")]


class Provenance(Frozen):
    """The origin of an artifact. Recorded, not hashed: a typo in a comment need not retrain every model."""

    commit: str | None
    """The commit of the project's checkout; None when installed from a package."""
    dirty: bool | None
    version: str
    image: str | None
    """Digest of the container image, where one was used."""
    python: str
    packages: dict[str, str]
    hardware: dict[str, str | int]
    started: str
    """UTC, ISO 8601."""
    seconds: float
    gpus: float | None = None
    """GPUs that the step had, fractions added up; None if not recorded, as with the next two."""
    cores: int | None = None
    """CPU cores that the step was asked to use."""
    turn_seconds: float | None = None
    """Seconds from when it got its share of the machine until its files were stored; `seconds` leave out the start
    of its process and the storing."""


def _stays_inside(path: str) -> str:
    """Refuse a path that leads out of the artifact's folder, as a manifest may come from anywhere."""
    plain = PurePosixPath(path)
    if not plain.parts or plain.is_absolute() or ".." in plain.parts or str(plain) != path or set(path) & {"\\", "\0"}:
        raise ValueError(f"{path!r} is not a plain relative path.")
    return path


class StoredFile(Frozen):
    """One file of an artifact."""

    path: Annotated[str, AfterValidator(_stays_inside)]
    """The path relative to the artifact, with forward slashes."""
    size: int = Field(ge=0)
    """Bytes."""
    sha256: Digest
    shared: bool = False
    """Whether it lies under its digest, where every writer of the same bytes finds it, and not with the attempt."""


class Manifest(Frozen):
    """The seal of an artifact."""

    schema_version: Literal[1] = 1
    address: Address
    attempt: Name
    """The writer's own folder under the address: writers of one address never touch each other's files."""
    spec: Spec
    artifact: Artifact
    files: tuple[StoredFile, ...]
    provenance: Provenance
