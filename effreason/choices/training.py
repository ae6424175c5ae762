"""How a policy learns: credit, objective, KL, filter, schedule of alpha, and which weights move."""

from typing import Annotated, Literal

from pydantic import Field

from effreason.frozen import Frozen


class LeaveOneOut(Frozen):
    """A completion's reward less the mean of the others of its group (RLOO; Ahmadian et al. 2024)."""

    kind: Literal["leave-one-out"] = "leave-one-out"


class MeanCentred(Frozen):
    """A completion's reward less the mean of its group (Dr. GRPO; Liu et al. 2025, arXiv 2503.20783)."""

    kind: Literal["mean-centred"] = "mean-centred"


class GroupNormalised(Frozen):
    """Mean-centred, divided by the group's standard deviation (GRPO; Shao et al. 2024, arXiv 2402.03300).

    It erases alpha: in a group whose answers are all right the advantages of every alpha are nearly the same.
    """

    kind: Literal["group-normalised"] = "group-normalised"
    floor: float = Field(1e-4, gt=0)
    """Added to the spread, so that a unanimous group divides safely."""


class BatchNormalised(Frozen):
    """Mean-centred by group, divided by the batch's standard deviation (REINFORCE++-baseline, arXiv 2501.03262; DLER).

    One divisor for all groups, so that alpha keeps its weight against correctness.
    """

    kind: Literal["batch-normalised"] = "batch-normalised"
    floor: float = Field(1e-4, gt=0)


Advantage = Annotated[LeaveOneOut | MeanCentred | GroupNormalised | BatchNormalised, Field(discriminator="kind")]


class PolicyGradient(Frozen):
    """Every token of a completion is credited with the completion's advantage in its group; no value model."""

    kind: Literal["policy-gradient"] = "policy-gradient"
    advantage: Advantage = LeaveOneOut()
    whiten: bool = False
    """Scale the advantages of a batch to mean 0 and standard deviation 1, as Arora & Zanette (2025) do."""


class Ppo(Frozen):
    """PPO with a learned value head on the policy's last hidden states and generalised advantage estimation
    (Schulman et al. 2016, arXiv 1506.02438; 2017, arXiv 1707.06347). The reward comes with the last token."""

    kind: Literal["ppo"] = "ppo"
    discount: float = Field(1.0, gt=0, le=1)
    """Gamma. Below 1 it prefers short completions by itself."""
    gae_lambda: float = Field(0.95, ge=0, le=1)
    value_weight: float = Field(0.1, gt=0)
    """Of the value loss beside the policy's."""
    value_clip: float = Field(0.2, gt=0)
    """How far a value may move from the one at the time of sampling."""
    value_learning_rate: float = Field(1e-4, gt=0)
    """Of the head alone; the policy's layers keep the training's rate."""


class SftShortest(Frozen):
    """Supervised fine-tuning on the shortest correct completion of each prompt, all sampled from the starting model:
    the baseline that on-policy reinforcement learning has to beat. It has no use for alpha."""

    kind: Literal["sft-shortest"] = "sft-shortest"


Algorithm = Annotated[PolicyGradient | Ppo | SftShortest, Field(discriminator="kind")]


class TokenClip(Frozen):
    """PPO's clipped ratio, token by token. `high` above `low` is clip-higher (DAPO, arXiv 2503.14476)."""

    kind: Literal["token-clip"] = "token-clip"
    low: float = Field(0.2, gt=0, lt=1)
    high: float = Field(0.2, gt=0)


class SequenceClip(Frozen):
    """One ratio for a completion, the geometric mean of its tokens' (GSPO; Zheng et al. 2025, arXiv 2507.18071)."""

    kind: Literal["sequence-clip"] = "sequence-clip"
    low: float = Field(3e-4, gt=0, lt=1)
    high: float = Field(4e-4, gt=0)


Objective = Annotated[TokenClip | SequenceClip, Field(discriminator="kind")]


class NoKl(Frozen):
    """The policy may go where the reward leads; no reference model is kept."""

    kind: Literal["none"] = "none"


class KlInLoss(Frozen):
    """The divergence from the starting model is a term of the loss (GRPO's estimator, Schulman's k3)."""

    kind: Literal["loss"] = "loss"
    weight: float = Field(1e-3, gt=0)


class KlInReward(Frozen):
    """A completion's reward is lowered by the sum of its log-ratios to the starting model (Schulman's k1; Ouyang et
    al. 2022, arXiv 2203.02155)."""

    kind: Literal["reward"] = "reward"
    weight: float = Field(1e-3, gt=0)


Kl = Annotated[NoKl | KlInLoss | KlInReward, Field(discriminator="kind")]


class DropZero(Frozen):
    """Leave out of the update only what adds nothing to it: completions whose advantage is 0."""

    kind: Literal["zero"] = "zero"


class DropBelowAlpha(Frozen):
    """DASH's gradient filtering (arXiv 2505.17218), its threshold relative to alpha: |advantage| <= threshold · alpha;
    in groups with right and wrong completions, 1 / (completions_per_prompt + 1) where that is less.

    DASH's own threshold is fixed at 0.1, which drops every sample of an all-correct group at alpha <= 0.1. The limit is
    for penalties whose alpha is a price: being right where one other is wrong is never too little to learn from.
    """

    kind: Literal["alpha"] = "alpha"
    threshold: float = Field(0.1, ge=0)


class DropBelowSpread(Frozen):
    """DASH's gradient filtering, its threshold relative to the standard deviation of the batch's advantages."""

    kind: Literal["spread"] = "spread"
    threshold: float = Field(0.1, ge=0)


class KeepAll(Frozen):
    """Every completion passes through the update, also those that add nothing: for measuring what filtering saves."""

    kind: Literal["none"] = "none"


Filter = Annotated[DropZero | DropBelowAlpha | DropBelowSpread | KeepAll, Field(discriminator="kind")]
"""Which completions are left out of the update, before its forward pass; what the loss is divided by stays."""


class ConstantAlpha(Frozen):
    """The cell's alpha at every step."""

    kind: Literal["constant"] = "constant"


class LinearWarmup(Frozen):
    """From 0 at the first step in equal steps up to the cell's alpha, which then stays."""

    kind: Literal["warmup"] = "warmup"
    steps: int = Field(20, ge=1)


class AccuracyConstrained(Frozen):
    """alpha is found during the training, as high as the accuracy allows: dual ascent on the accuracy of the batches.

    The cell's alpha is the ceiling. The first steps have alpha 0 and show what accuracy the training reaches without
    a penalty; from then on alpha rises while the accuracy of late is above the best so far less half of the limit, and
    falls while it is below. Where the whole limit is broken alpha starts again from 0, and rises more warily.
    """

    kind: Literal["accuracy-constrained"] = "accuracy-constrained"
    max_accuracy_loss: float = Field(0.01, gt=0, lt=1)
    """As a fraction: 0.01 is one point."""
    free_steps: int = Field(5, ge=1)
    """Steps at alpha 0, from which the accuracy to hold is estimated."""
    rate: float = Field(0.02, gt=0)
    """The share of its ceiling that alpha moves in a step while no accuracy is lost."""
    memory: float = Field(0.8, ge=0, lt=1)
    """Weight of the past in the accuracy of late; a batch enters with the rest."""
    long_memory: float = Field(0.95, ge=0, lt=1)
    """Weight of the past in the means of which the best is the accuracy to hold."""


Schedule = Annotated[ConstantAlpha | LinearWarmup | AccuracyConstrained, Field(discriminator="kind")]
"""alpha by step."""


class FullWeights(Frozen):
    """Train every parameter."""

    kind: Literal["full"] = "full"


class Lora(Frozen):
    """Train low-rank adapters on the linear layers (Hu et al. 2021); they are merged when the policy is saved."""

    kind: Literal["lora"] = "lora"
    rank: int = Field(32, ge=1)
    scale: float = Field(64, gt=0)
    """LoRA's own alpha: updates are multiplied by scale / rank."""
    dropout: float = Field(0.0, ge=0, lt=1)


class Qlora(Frozen):
    """As `Lora`, over weights that are held in 4 bits (Dettmers et al. 2023, arXiv 2305.14314). Needs bitsandbytes."""

    kind: Literal["qlora"] = "qlora"
    rank: int = Field(32, ge=1)
    scale: float = Field(64, gt=0)
    dropout: float = Field(0.0, ge=0, lt=1)


Weights = Annotated[FullWeights | Lora | Qlora, Field(discriminator="kind")]

Sharding = Literal["ddp", "zero2", "fsdp"]
"""How the processes of one training share its state, by the name of a configuration of accelerate."""
