"""One frozen spec for each step: all that its artifact depends on, and nothing else.

    prepare   PrepareSpec   → Problems
    evaluate  EvaluateSpec  → Evaluation      of a pretrained model or of a policy, in the same way
    train     TrainSpec     → Policy
    report    ReportSpec    → Report

A spec names its upstream artifacts by their addresses, and an address is made from the fingerprint of a spec: so a
fingerprint pins the whole ancestry, and every address of an experiment is known before anything has run.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from effreason.choices import Advantage, FullWeights, Model, Name, Penalty, Prompt, Source, Weights
from effreason.frozen import Frozen

Address = Annotated[str, Field(pattern=r"^(prepare|evaluate|train|report)/[0-9a-f]{24}$")]
"""Where an artifact lies in its store: the step and the first 24 hex digits of the spec's fingerprint."""

StepName = Literal["prepare", "evaluate", "train", "report"]


class StepSpec(Frozen):
    """What every spec can say of itself."""

    step: StepName
    recipe: int = Field(ge=1)
    """Raised by hand when the meaning of a step changes, so that artifacts made the old way are not found."""

    @property
    def address(self) -> Address:
        return f"{self.step}/{self.fingerprint[:24]}"


class Suite(Frozen):
    """Problems to measure on, under a name that appears in the report."""

    name: Name
    source: Source
    problems: int = Field(300, ge=1)
    """At most this many, drawn by the seed."""


class PrepareSpec(StepSpec):
    """Problems to train on, to choose alpha on, and to measure on."""

    step: Literal["prepare"] = "prepare"
    recipe: int = 1
    source: Source
    train_problems: int = Field(ge=1)
    """At most this many."""
    validation_problems: int = Field(ge=0)
    """Kept apart from training, for choosing alpha."""
    suites: tuple[Suite, ...] = Field(min_length=1)
    seed: int


class Sampling(Frozen):
    """How completions are drawn."""

    temperature: float = Field(1.0, ge=0, le=2)
    """0 takes the likeliest token at every place (greedy)."""
    top_p: float = Field(1.0, gt=0, le=1)
    max_tokens: int = Field(1024, ge=1)
    """A completion that has not ended by then is truncated, and counts as wrong."""
    seed: int = 0


class Training(Frozen):
    """The reinforcement learning of one cell; the defaults are those of Arora & Zanette (2025) where they apply."""

    algorithm: Literal["rloo"] = "rloo"
    """Leave-one-out advantages under the token-level PPO clip."""
    steps: int = Field(100, ge=1)
    prompts_per_step: int = Field(32, ge=1)
    completions_per_prompt: int = Field(8, ge=2)
    updates_per_step: int = Field(1, ge=1)
    """Optimiser updates for each batch of completions; with 1 the training is strictly on-policy."""
    learning_rate: float = Field(2e-6, gt=0)
    warmup_steps: int = Field(3, ge=0)
    temperature: float = Field(1.0, gt=0, le=2)
    max_tokens: int = Field(1024, ge=1)
    clip: float = Field(0.2, gt=0, lt=1)
    kl: float = Field(0.0, ge=0)
    """Weight of the KL divergence to the starting model in the loss; 0 keeps no reference model."""
    max_grad_norm: float = Field(1.0, gt=0)
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """`auto` is bfloat16 on a GPU that has it and float32 elsewhere."""
    gradient_checkpointing: bool = False
    """Saves memory for time."""
    tokens_per_microbatch: int = Field(16_384, ge=1)
    """Padded tokens in one forward pass; bounds the memory of an update."""
    checkpoint_every: int = Field(20, ge=1)
    """Steps."""
    penalty: Penalty = Penalty()
    advantage: Advantage = Advantage()
    weights: Weights = FullWeights()

    @model_validator(mode="after")
    def updates_divide_the_batch(self) -> Self:
        if self.prompts_per_step % self.updates_per_step:
            raise ValueError(
                f"{self.prompts_per_step} prompts a step do not divide into {self.updates_per_step} updates; "
                f"set prompts_per_step to a multiple of updates_per_step."
            )
        return self

    @property
    def completions_per_step(self) -> int:
        return self.prompts_per_step * self.completions_per_prompt


class TrainSpec(StepSpec):
    """One cell: one model, one alpha, one seed."""

    step: Literal["train"] = "train"
    recipe: int = 1
    model: Model
    problems: Address
    prompt: Prompt
    training: Training
    alpha: float = Field(ge=0, lt=1)
    seed: int


class Protocol(Frozen):
    """How a model is measured: the same before and after training."""

    samples: int = Field(4, ge=1)
    """Completions of each problem."""
    temperature: float = Field(0.6, ge=0, le=2)
    top_p: float = Field(1.0, gt=0, le=1)
    max_tokens: int = Field(1024, ge=1)
    pass_at: tuple[int, ...] = (1,)
    budgets: tuple[int, ...] = ()
    """Token budgets at which accuracy is reported, read from the stored completions."""
    seed: int = 0

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


class EvaluateSpec(StepSpec):
    """A model, or a policy trained from it, measured on every suite and on the validation part."""

    step: Literal["evaluate"] = "evaluate"
    recipe: int = 1
    model: Model
    policy: Address | None = None
    """The trained weights; None measures the model as it comes."""
    problems: Address
    prompt: Prompt
    protocol: Protocol


class Cell(Frozen):
    """One row of the sweep: a training, and the evaluations before and after it."""

    model: Name
    alpha: float
    seed: int
    algorithm: str
    penalty: str
    policy: Address
    baseline: Address
    after: Address


class Selection(Frozen):
    """How alpha is recommended: the largest token reduction whose loss of accuracy is surely below the limit."""

    max_accuracy_loss: float = Field(0.01, ge=0, lt=1)
    """As a fraction: 0.01 is one point."""
    confidence: float = Field(0.95, gt=0.5, lt=1)
    """One-sided."""


class ReportSpec(StepSpec):
    """Every cell of a sweep on one page."""

    step: Literal["report"] = "report"
    recipe: int = 1
    experiment: Name
    problems: Address
    cells: tuple[Cell, ...] = Field(min_length=1)
    selection: Selection


Spec = Annotated[PrepareSpec | TrainSpec | EvaluateSpec | ReportSpec, Field(discriminator="step")]
