"""How a policy is trained: credit assignment, objective, KL, filter, schedule of alpha, and trained weights."""

from typing import Annotated, Literal

from pydantic import Field

from effreason.frozen import Frozen


class LeaveOneOut(Frozen):
    """A completion's reward minus the mean reward of the others of its group (RLOO; Ahmadian et al. 2024)."""

    kind: Literal["leave-one-out"] = "leave-one-out"


class MeanCentred(Frozen):
    """A completion's reward minus the mean reward of its group (Dr. GRPO; Liu et al. 2025, arXiv 2503.20783)."""

    kind: Literal["mean-centred"] = "mean-centred"


class GroupNormalised(Frozen):
    """Mean-centred, then divided by the group's standard deviation (GRPO; Shao et al. 2024, arXiv 2402.03300).

    This erases alpha: in a group whose answers are all right, the advantages are nearly the same for every alpha.
    """

    kind: Literal["group-normalised"] = "group-normalised"
    floor: float = Field(1e-4, gt=0)
    """Added to the standard deviation, so that a unanimous group is not divided by 0."""


class BatchNormalised(Frozen):
    """Mean-centred by group, then divided by the batch's standard deviation (REINFORCE++-baseline, arXiv 2501.03262;
    DLER).

    All groups have the same divisor, so alpha keeps its weight relative to correctness.
    """

    kind: Literal["batch-normalised"] = "batch-normalised"
    floor: float = Field(1e-4, gt=0)
    """Added to the spread, so that a batch without any divides safely."""


Advantage = Annotated[LeaveOneOut | MeanCentred | GroupNormalised | BatchNormalised, Field(discriminator="kind")]


class PolicyGradient(Frozen):
    """Every token of a completion gets the completion's advantage in its group; there is no value model."""

    kind: Literal["policy-gradient"] = "policy-gradient"
    advantage: Advantage = LeaveOneOut()
    """What a completion's reward is compared with."""
    whiten: bool = False
    """Whether to scale the advantages of a batch to mean 0 and standard deviation 1, as Arora & Zanette (2025) do."""


class Ppo(Frozen):
    """PPO with a learned value head on the policy's last hidden states and generalised advantage estimation
    (Schulman et al. 2016, arXiv 1506.02438; 2017, arXiv 1707.06347). The reward is given at the last token."""

    kind: Literal["ppo"] = "ppo"
    discount: float = Field(1.0, gt=0, le=1)
    """Gamma. Values below 1 favour short completions even without a penalty."""
    gae_lambda: float = Field(0.95, ge=0, le=1)
    """Lambda of the advantage estimation: lower relies more on the estimates of the value head, 1 on rewards alone."""
    value_weight: float = Field(0.1, gt=0)
    """Weight of the value loss relative to the policy loss."""
    value_clip: float = Field(0.2, gt=0)
    """How far a value may move from its estimate at the time of sampling."""
    value_learning_rate: float = Field(1e-4, gt=0)
    """Learning rate of the value head alone; the policy's layers keep the learning rate of the training run."""


class SftShortest(Frozen):
    """Supervised fine-tuning on the shortest correct completion of each prompt, all sampled from the starting model:
    the baseline that on-policy reinforcement learning has to beat. It does not use alpha."""

    kind: Literal["sft-shortest"] = "sft-shortest"


Algorithm = Annotated[PolicyGradient | Ppo | SftShortest, Field(discriminator="kind")]


class TokenClip(Frozen):
    """PPO's clipped ratio, per token. `high` above `low` is clip-higher (DAPO, arXiv 2503.14476)."""

    kind: Literal["token-clip"] = "token-clip"
    low: float = Field(0.2, gt=0, lt=1)
    """How far below 1 the ratio may fall before its token stops pushing further."""
    high: float = Field(0.2, gt=0)
    """How far above 1 the ratio may rise before its token stops pushing further."""


class SequenceClip(Frozen):
    """One clipped ratio per completion, the geometric mean of its tokens' ratios (GSPO; Zheng et al. 2025, arXiv
    2507.18071)."""

    kind: Literal["sequence-clip"] = "sequence-clip"
    low: float = Field(3e-4, gt=0, lt=1)
    """How far below 1 the ratio may fall before its completion stops pushing further."""
    high: float = Field(4e-4, gt=0)
    """How far above 1 the ratio may rise before its completion stops pushing further."""


Objective = Annotated[TokenClip | SequenceClip, Field(discriminator="kind")]


class NoKl(Frozen):
    """No KL term: the policy may move freely, and no reference model is kept."""

    kind: Literal["none"] = "none"


class KlInLoss(Frozen):
    """The KL divergence from the starting model is a term of the loss (GRPO's estimator, Schulman's k3)."""

    kind: Literal["loss"] = "loss"
    weight: float = Field(1e-3, gt=0)
    """Weight of the divergence in the loss; higher keeps the policy nearer to its start."""


class KlInReward(Frozen):
    """A completion's reward is reduced by the sum of its log-ratios to the starting model (Schulman's k1; Ouyang et
    al. 2022, arXiv 2203.02155)."""

    kind: Literal["reward"] = "reward"
    weight: float = Field(1e-3, gt=0)
    """Weight of the log-ratios in the reward; higher keeps the policy nearer to its start."""


Kl = Annotated[NoKl | KlInLoss | KlInReward, Field(discriminator="kind")]


class DropZero(Frozen):
    """Leave out of the update only completions whose advantage is 0, which add nothing to it."""

    kind: Literal["zero"] = "zero"


class DropBelowAlpha(Frozen):
    """DASH's gradient filtering (arXiv 2505.17218) with a threshold relative to alpha: a completion is left out if
    |advantage| <= threshold · alpha, or in groups with right and wrong completions <= 1 / (completions_per_prompt + 1)
    if that is smaller.

    DASH's own threshold is fixed at 0.1, which drops every sample of an all-correct group at alpha <= 0.1. The second
    limit is for penalties whose alpha is a price: a right completion beside a single wrong one is always learned from.
    """

    kind: Literal["alpha"] = "alpha"
    threshold: float = Field(0.1, ge=0)
    """The limit as a multiple of alpha; higher leaves out more, and 0 only what adds nothing."""


class DropBelowSpread(Frozen):
    """DASH's gradient filtering with a threshold relative to the standard deviation of the batch's advantages."""

    kind: Literal["spread"] = "spread"
    threshold: float = Field(0.1, ge=0)
    """The limit in standard deviations; higher leaves out more, and 0 only what adds nothing."""


class KeepAll(Frozen):
    """Every completion passes through the update, even those that add nothing: for measuring what filtering saves."""

    kind: Literal["none"] = "none"


Filter = Annotated[DropZero | DropBelowAlpha | DropBelowSpread | KeepAll, Field(discriminator="kind")]
"""Which completions are left out of the update, before its forward pass; the divisor of the loss does not change."""


class ConstantAlpha(Frozen):
    """The cell's alpha at every step."""

    kind: Literal["constant"] = "constant"


class LinearWarmup(Frozen):
    """alpha rises linearly from 0 at the first step to the cell's alpha, and then stays there."""

    kind: Literal["warmup"] = "warmup"
    steps: int = Field(20, ge=1)
    """Training steps over which alpha rises."""


class AccuracyConstrained(Frozen):
    """alpha is adapted during training to be as high as the accuracy allows: dual ascent on the accuracy of the
    batches.

    The cell's alpha is the ceiling. The first steps have alpha 0 and show what accuracy is reached without a penalty.
    After that alpha rises while recent accuracy is above the best so far minus half of the limit, and falls while it is
    below. If the full limit is exceeded, alpha starts again from 0 and rises more slowly above half the value at which
    that happened.
    """

    kind: Literal["accuracy-constrained"] = "accuracy-constrained"
    max_accuracy_loss: float = Field(0.01, gt=0, lt=1)
    """The limit, as a fraction: 0.01 is one point."""
    free_steps: int = Field(5, ge=1)
    """Number of steps at alpha 0, from which the accuracy to hold is first estimated."""
    rate: float = Field(0.02, gt=0)
    """The share of its ceiling by which alpha rises per step while no accuracy is lost."""
    memory: float = Field(0.8, ge=0, lt=1)
    """Weight of the past in the moving average of recent accuracy; each new batch has the rest."""
    long_memory: float = Field(0.95, ge=0, lt=1)
    """Weight of the past in the moving average whose best value is the accuracy to hold."""


Schedule = Annotated[ConstantAlpha | LinearWarmup | AccuracyConstrained, Field(discriminator="kind")]
"""How alpha changes from step to step."""


class FullWeights(Frozen):
    """Train every parameter."""

    kind: Literal["full"] = "full"


class Lora(Frozen):
    """Train low-rank adapters on the linear layers (Hu et al. 2021); they are merged when the policy is saved."""

    kind: Literal["lora"] = "lora"
    rank: int = Field(32, ge=1)
    """Rank of the adapters; a higher one can learn more and needs more memory."""
    scale: float = Field(64, gt=0)
    """LoRA's own alpha: updates are multiplied by scale / rank."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Share of the adapters' inputs that is set to 0 at random in training."""


class Qlora(Frozen):
    """Like `Lora`, with base weights in 4 bits (Dettmers et al. 2023, arXiv 2305.14314). Needs bitsandbytes."""

    kind: Literal["qlora"] = "qlora"
    rank: int = Field(32, ge=1)
    """Rank of the adapters; a higher one can learn more and needs more memory."""
    scale: float = Field(64, gt=0)
    """LoRA's own alpha: updates are multiplied by scale / rank."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Share of the adapters' inputs that is set to 0 at random in training."""


Weights = Annotated[FullWeights | Lora | Qlora, Field(discriminator="kind")]

Sharding = Literal["ddp", "zero2", "fsdp"]
"""How the processes of one training run share its state, named after a configuration of accelerate."""
