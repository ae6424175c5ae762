"""One frozen spec for each step: all that its artifact depends on, and nothing else.

    prepare   PrepareSpec   → Problems
    evaluate  EvaluateSpec  → Evaluation      of a pretrained model or of a policy, in the same way
    train     TrainSpec     → Policy
    report    ReportSpec    → Report
    gate      GateSpec      → Decision        of a night: whether its candidate becomes the champion

A spec names its upstream artifacts by their addresses, and an address is made from the fingerprint of a spec: so a
fingerprint pins the whole ancestry, and every address of an experiment is known before anything has run.
"""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from effreason.choices import (
    Agreement,
    Algorithm,
    ConstantAlpha,
    Correction,
    DropBelowAlpha,
    Engine,
    Filter,
    FullWeights,
    GroupNormalised,
    Kl,
    Model,
    Name,
    NoKl,
    Objective,
    OwnSampler,
    Penalty,
    PolicyGradient,
    Prompt,
    Qlora,
    Schedule,
    SigmoidPenalty,
    Source,
    TokenClip,
    TokenTruncated,
    Weights,
    check_alpha,
)
from effreason.frozen import Frozen
from effreason.recipes import RECIPES, Preset

Address = Annotated[str, Field(pattern=r"^(prepare|evaluate|train|report|gate)/[0-9a-f]{24}$")]
"""The place of an artifact in its store: the step and the first 24 hex digits of the spec's fingerprint."""

StepName = Literal["prepare", "evaluate", "train", "report", "gate"]


def _is_a_date(text: str) -> str:
    date.fromisoformat(text)
    return text


Night = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$"), AfterValidator(_is_a_date)]
"""The date that a nightly run stands for, such as 2026-01-31."""


class StepSpec(Frozen):
    """The part that every spec has."""

    step: StepName
    recipe: int = Field(ge=1)
    """The version of a step, raised by hand when its meaning changes, so that older artifacts are not found."""

    @property
    def address(self) -> Address:
        return f"{self.step}/{self.fingerprint[:24]}"

    @property
    def engine(self) -> Engine | None:
        """The engine that draws the step's completions; None where it draws none."""
        return None


COUNT_LIMIT = 10_000_000
"""The largest number of problems, samples, steps or tokens: what is beyond is a typing error."""
PROTOCOL_OF_A_SUITE = {"samples", "temperature", "top_p", "max_tokens", "pass_at"}
"""The fields of the protocol that a suite may set; budgets and the seed are common to all."""


class Suite(Frozen):
    """Problems to measure on, under a name that appears in the report. A field of None is as for the other suites."""

    name: Name
    """Name of the suite in the report."""
    source: Source
    """The source from whose test split its problems are drawn."""
    problems: int = Field(300, ge=1, le=COUNT_LIMIT)
    """The most problems, drawn by the seed."""
    role: Literal["in-distribution", "out-of-distribution"] | None = None
    """Whether it is of the kind that is trained on; None: it is if its source and that of the training are alike."""
    prompt: Prompt | None = None
    """A prompt of its own."""
    samples: int | None = Field(None, ge=1, le=COUNT_LIMIT)
    """Completions per problem."""
    temperature: float | None = Field(None, ge=0, le=2)
    """Sampling temperature; 0 is greedy."""
    top_p: float | None = Field(None, gt=0, le=1)
    """Share of the probability that is sampled from, the likeliest tokens first; 1 is all of it."""
    max_tokens: int | None = Field(None, ge=1, le=COUNT_LIMIT)
    """Tokens after which a completion is cut off and counts as wrong."""
    pass_at: tuple[int, ...] | None = None
    """The k of pass@k; None: those of the other suites that its samples allow."""

    @property
    def drawn(self) -> "Suite":
        """The suite with its problems alone, whoever is asked and how."""
        return Suite(name=self.name, source=self.source, problems=self.problems)

    def protocol(self, usual: "Protocol") -> "Protocol":
        """Return this suite's protocol where the others' is `usual`. Raises `ValidationError` for an invalid one."""
        own = self.model_dump(include=PROTOCOL_OF_A_SUITE, exclude_none=True)
        if "pass_at" not in own:
            own["pass_at"] = tuple(k for k in usual.pass_at if k <= own.get("samples", usual.samples))
        return Protocol.model_validate({**usual.model_dump(), **own})


class PrepareSpec(StepSpec):
    """Problems to train on, to choose alpha on, and to measure on."""

    step: Literal["prepare"] = "prepare"
    recipe: int = 1
    source: Source
    train_problems: int = Field(ge=0, le=COUNT_LIMIT)
    """The most problems to train on; 0 where nothing is trained."""
    validation_problems: int = Field(ge=0, le=COUNT_LIMIT)
    """Problems kept apart from training, for choosing alpha."""
    suites: tuple[Suite, ...] = Field(min_length=1)
    seed: int

    @field_validator("suites")
    @classmethod
    def however_they_are_asked(cls, suites: tuple[Suite, ...]) -> tuple[Suite, ...]:
        """Drop the suites' protocols: a change of protocol calls for an evaluation, not for a training run."""
        return tuple(suite.drawn for suite in suites)


class Sampling(Frozen):
    """The sampling of completions."""

    temperature: float = Field(1.0, ge=0, le=2)
    """0 takes the likeliest token at every place (greedy)."""
    top_p: float = Field(1.0, gt=0, le=1)
    max_tokens: int = Field(1024, ge=1, le=COUNT_LIMIT)
    """A completion that has not ended by then is truncated, and counts as wrong."""
    seed: int = 0


class Training(Frozen):
    """The reinforcement learning of one cell; the defaults are those of Arora & Zanette (2025) where they apply."""

    preset: Preset | None = None
    """A recipe of `recipes.RECIPES`, whose settings hold where no other value is given."""
    algorithm: Algorithm = PolicyGradient()
    """How the policy learns from its completions: by policy gradient, by PPO, or supervised."""
    steps: int = Field(100, ge=1, le=COUNT_LIMIT)
    """Training steps; each draws a batch of completions and learns from it, so more take proportionally longer."""
    prompts_per_step: int = Field(32, ge=1, le=COUNT_LIMIT)
    """Problems per step; more make a step slower and its gradient less noisy."""
    completions_per_prompt: int = Field(8, ge=2, le=COUNT_LIMIT)
    """Completions of each problem (one group), whose rewards are compared; more make a step slower and the comparison
    less noisy."""
    updates_per_step: int = Field(1, ge=1)
    """Optimiser updates per batch of completions; with 1 the training is strictly on-policy."""
    learning_rate: float = Field(2e-6, gt=0)
    """Learning rate of the optimiser; higher learns faster, and too high breaks the policy."""
    warmup_steps: int = Field(3, ge=0, le=COUNT_LIMIT)
    """Training steps over which the learning rate rises to its value, where it stays."""
    temperature: float = Field(1.0, gt=0, le=2)
    """Sampling temperature of the training's completions; higher draws more varied ones."""
    max_tokens: int = Field(1024, ge=1, le=COUNT_LIMIT)
    """Tokens after which a completion is cut off and counts as wrong; more take longer and more memory."""
    objective: Objective = TokenClip()
    """The ratio to the sampling policy whose clipping limits an update: each token's or the whole completion's."""
    loss: Literal["dapo", "grpo", "dr_grpo", "bnpo"] = "dapo"
    """The denominator of an update's loss: its share of the step's tokens (dapo), its own tokens (bnpo), each
    completion's tokens and then their number (grpo), or their number times max_tokens (dr_grpo)."""
    kl: Kl = NoKl()
    """What holds the policy near the model that it starts from, if anything."""
    filter: Filter = DropBelowAlpha()
    """The completions that are left out of an update because their advantage is small."""
    penalty: Penalty = SigmoidPenalty()
    """The reward's penalty for length, whose strength is alpha: docs/penalties.md."""
    schedule: Schedule = ConstantAlpha()
    """How alpha develops from step to step."""
    weights: Weights = FullWeights()
    """The weights that are trained: all, or adapters, which need less memory."""
    overlap: bool = False
    """Generate the next batch while this one is learned from: faster, and one step off-policy, which the ratio to the
    sampling policy corrects. Checkpoints are taken between batches that do not overlap."""
    engine: Engine = OwnSampler()
    """The generation engine that draws the completions of every step."""
    agreement: Agreement = Agreement()
    """How closely generation engine and trainer agree at least; the own sampler is compared under `overlap` alone."""
    correction: Correction = TokenTruncated()
    """The correction of the mismatch between generation engine and trainer; without effect with the own sampler."""
    max_grad_norm: float = Field(1.0, gt=0)
    """The norm that the gradient of an update is scaled down to where it is larger."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """The number format: `auto` is bfloat16 on a GPU that has it and float32 elsewhere."""
    gradient_checkpointing: bool = False
    """Whether activations are recomputed in the backward pass, which saves memory for time."""
    tokens_per_microbatch: int = Field(16_384, ge=1)
    """Padded tokens in one forward pass; bounds the memory of an update."""
    checkpoint_every: int = Field(20, ge=1)
    """Training steps between checkpoints."""

    @model_validator(mode="before")
    @classmethod
    def preset_below_the_rest(cls, given: object) -> object:
        if not isinstance(given, Mapping):
            return given
        preset = given.get("preset")
        if not isinstance(preset, str) or preset not in RECIPES:
            return given
        return {**RECIPES[preset], **dict(given)}

    @model_validator(mode="after")
    def updates_divide_the_batch(self) -> Self:
        if self.prompts_per_step % self.updates_per_step:
            raise ValueError(
                f"{self.prompts_per_step} prompts per step do not divide into {self.updates_per_step} updates; "
                f"set prompts_per_step to a multiple of updates_per_step."
            )
        return self

    @model_validator(mode="after")
    def the_engine_can_follow(self) -> Self:
        if self.samples_elsewhere and self.overlap:
            raise ValueError(
                f"overlap only works with the built-in sampler; drop it, or the generation engine {self.engine.kind}."
            )
        if self.samples_elsewhere and isinstance(self.weights, Qlora):
            raise ValueError(
                f"The generation engine {self.engine.kind} takes whole weights, not 4-bit ones with adapters; "
                'set weights = { kind = "lora" }, or drop the generation engine.'
            )
        return self

    @property
    def samples_elsewhere(self) -> bool:
        """Whether completions are drawn by a copy of the trained weights, in another engine."""
        return not isinstance(self.engine, OwnSampler)

    @property
    def erases_alpha(self) -> bool:
        """Whether the advantages of every alpha are nearly the same where all answers of a group are correct."""
        return isinstance(self.algorithm, PolicyGradient) and isinstance(self.algorithm.advantage, GroupNormalised)

    @property
    def completions_per_step(self) -> int:
        return self.prompts_per_step * self.completions_per_prompt


class TrainSpec(StepSpec):
    """One cell: one model, one alpha, one seed."""

    step: Literal["train"] = "train"
    recipe: int = 2
    model: Model
    problems: Address
    prompt: Prompt
    training: Training
    alpha: float = Field(ge=0)
    seed: int

    @property
    def engine(self) -> Engine:
        return self.training.engine

    @model_validator(mode="after")
    def alpha_suits_the_penalty(self) -> Self:
        check_alpha(self.training.penalty, self.alpha)
        return self


class Faithfulness(Frozen):
    """The probes of faithfulness that are asked, besides the completions. Answers are forced greedily."""

    problems: int = Field(100, ge=1, le=COUNT_LIMIT)
    """The most problems of each suite, drawn by their ids: the same for every model."""
    fractions: tuple[Annotated[float, Field(ge=0, lt=1)], ...] = (0.0, 0.25, 0.5, 0.75)
    """Fractions of the reasoning, kept before an answer is forced; the whole of it is always asked too."""
    filler: bool = True
    """Whether an answer is also forced after neutral tokens in the reasoning's place."""
    mistake: bool = True
    """Whether a mistake is put into the reasoning, from which the model goes on."""
    hint: bool = True
    """Whether questions are also asked with a hint at an answer."""

    @model_validator(mode="after")
    def from_nothing_up(self) -> Self:
        if self.fractions[:1] != (0.0,) or list(self.fractions) != sorted(set(self.fractions)):
            raise ValueError("fractions must increase and start at 0, as in [0, 0.25, 0.5, 0.75].")
        return self


class Protocol(Frozen):
    """The measurement of a model: the same before and after training."""

    samples: int = Field(4, ge=1, le=COUNT_LIMIT)
    """Completions per problem."""
    temperature: float = Field(0.6, ge=0, le=2)
    """Sampling temperature; 0 is greedy, and then samples has to be 1."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Share of the probability that is sampled from, the likeliest tokens first; 1 is all of it."""
    max_tokens: int = Field(1024, ge=1, le=COUNT_LIMIT)
    """Tokens after which a completion is cut off and counts as wrong; more take longer."""
    pass_at: tuple[int, ...] = (1,)
    """The k of pass@k, the chance that at least one of k samples is correct; none is above samples."""
    budgets: tuple[Annotated[int, Field(ge=1)], ...] = ()
    """Token budgets at which accuracy is reported, read from the stored completions."""
    seed: int = 0
    """Seed of the sampling."""
    engine: Engine = OwnSampler()
    """The generation engine; greedy completions are the same in all up to rounding, sampled ones are other draws."""
    faithfulness: Faithfulness | None = None
    """The probes of faithfulness; None asks none."""

    @model_validator(mode="after")
    def enough_samples(self) -> Self:
        if any(k < 1 for k in self.pass_at):
            raise ValueError(f"pass_at has {min(self.pass_at)}; pass@k needs k of at least 1.")
        if max(self.pass_at, default=1) > self.samples:
            raise ValueError(
                f"pass@{max(self.pass_at)} needs at least {max(self.pass_at)} samples of each problem, "
                f"not {self.samples}; raise samples or drop it from pass_at."
            )
        if self.samples > 1 and self.temperature == 0:
            raise ValueError(
                f"{self.samples} samples at temperature 0 would all be the same; set samples = 1 or a temperature."
            )
        return self


class Asking(Frozen):
    """The prompt and the protocol of one suite."""

    suite: Name
    prompt: Prompt
    protocol: Protocol


class EvaluateSpec(StepSpec):
    """A model, or a policy trained from it, measured on every suite and on the validation part."""

    step: Literal["evaluate"] = "evaluate"
    recipe: int = 1
    model: Model
    policy: Address | None = None
    """The trained weights; None measures the base model."""
    problems: Address
    prompt: Prompt
    protocol: Protocol
    suites: tuple[Asking, ...] = ()
    """The suites whose prompt or protocol differs from the others."""
    instruction: str | None = None
    """A line after every question of every suite."""

    @property
    def engine(self) -> Engine:
        return self.protocol.engine

    def asking(self, part: str) -> Asking:
        """Return how a suite, or the validation part, is asked."""
        usual = Asking(suite=part, prompt=self.prompt, protocol=self.protocol)
        asking = next((each for each in self.suites if each.suite == part), usual)
        if self.instruction is None:
            return asking
        return asking.model_copy(update={"prompt": asking.prompt.instructed(self.instruction)})


class Cell(Frozen):
    """One row of the sweep: a training run, and the evaluations before and after it."""

    model: Name
    alpha: float
    seed: int
    algorithm: str
    penalty: str
    policy: Address | None
    """The trained policy; None where the two evaluations have no training run of ours between them."""
    baseline: Address
    after: Address
    names: tuple[str, str] | None = None
    """The subjects of the two evaluations, where they are not of a model before and after its training."""


class Reference(Frozen):
    """A model that is measured in another way instead of being trained: what a training run has to beat."""

    model: Name
    kind: Literal["concise"] = "concise"
    """The way in which it is measured: asked for brevity, by an instruction after every question."""
    instruction: str
    evaluation: Address | None
    reason: str | None = None
    """The reason why there is no evaluation."""


class Selection(Frozen):
    """The rule that recommends alpha: the largest token reduction whose loss of accuracy is surely below the limit."""

    max_accuracy_loss: float = Field(0.01, ge=0, lt=1)
    """The limit as a fraction: 0.01 is one point."""
    confidence: float = Field(0.95, gt=0.5, lt=1)
    """The confidence, one-sided."""


class ReportSpec(StepSpec):
    """Every cell of a sweep on one page."""

    step: Literal["report"] = "report"
    recipe: int = 2
    experiment: Name
    problems: Address
    cells: tuple[Cell, ...] = Field(min_length=1)
    held_back: tuple[str, ...] = ()
    """The labels of the other cells of the sweep, for whose training nothing was left of the budget."""
    references: tuple[Reference, ...] = ()
    """Reference models, at most one of a kind for each model."""
    out_of_distribution: tuple[Name, ...] = ()
    """Suites whose problems are of another kind than those that were trained on."""
    selection: Selection


class Gate(Frozen):
    """The conditions that a night's candidate meets on every suite before it becomes the champion: docs/nightly.md."""

    max_accuracy_loss: float = Field(0.02, ge=0, lt=1)
    """The limit of the loss against the champion, as a fraction, that it surely stays below."""
    max_total_loss: float = Field(0.03, ge=0, lt=1)
    """The same against the base model, so that small losses night by night do not add up."""
    confidence: float = Field(0.95, gt=0.5, lt=1)
    """The confidence of each condition, one-sided."""
    suites: tuple[Name, ...] = ()
    """The suites on which it has to meet them; none given: every suite that is measured."""


class Contender(Frozen):
    """A model of the night and its evaluation on the night's problems."""

    policy: Address | None
    """The policy's address; None is the base model."""
    evaluation: Address


class GateSpec(StepSpec):
    """One night's candidate before the gate."""

    step: Literal["gate"] = "gate"
    recipe: int = 2
    line: Name
    """The name of the experiment, whose champions follow one another."""
    night: Night
    gate: Gate
    suites: tuple[Name, ...] = Field(min_length=1)
    """The suites of the gate."""
    candidate: Contender
    champion: Contender
    base: Contender
    past: tuple[Address, ...] = ()
    """The decisions of the nights before, latest first, for what is to be expected of a night."""


Spec = Annotated[PrepareSpec | TrainSpec | EvaluateSpec | ReportSpec | GateSpec, Field(discriminator="step")]
