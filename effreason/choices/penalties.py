"""The length penalties. The strength of each is the alpha of the cell, in the unit of the penalty's paper."""

from math import inf, isinf
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from effreason.frozen import Frozen


class SigmoidPenalty(Frozen):
    """Arora & Zanette (2025): 1 - alpha · sigmoid(z) for correct completions, z over the correct ones of the group."""

    alpha_below: ClassVar[float] = 1.0
    usual_alphas: ClassVar[str] = "0.05 to 0.4"

    kind: Literal["sigmoid"] = "sigmoid"


class MinMaxPenalty(Frozen):
    """Kimi k1.5 (2025): up to alpha / 2 more or less, by the position of the length between the shortest and the
    longest of the group; wrong completions never gain."""

    alpha_below: ClassVar[float] = 2.0
    usual_alphas: ClassVar[str] = "0.1 to 1"

    kind: Literal["min-max"] = "min-max"


class TruncationPenalty(Frozen):
    """ThinkPrune (2025), DLER (2025): only completions within a limit earn anything. alpha is the share of max_tokens
    that is taken away, so the limit is (1 - alpha) · max_tokens. A longer completion earns the same as a wrong one."""

    alpha_below: ClassVar[float] = 1.0
    usual_alphas: ClassVar[str] = "0.25 to 0.75"

    kind: Literal["truncation"] = "truncation"


class LengthTargetPenalty(Frozen):
    """LASER (2025): alpha more for correct completions of at most `target` tokens."""

    alpha_below: ClassVar[float] = inf
    usual_alphas: ClassVar[str] = "0.1 to 0.5"

    kind: Literal["length-target"] = "length-target"
    target: int = Field(ge=1)
    """Target in tokens. It depends on the model and its problems: start with a third to a half of what the model
    spends."""


class DifficultyTargetPenalty(Frozen):
    """LASER-D (2025): alpha more for correct completions within a target that is set from the batch for each of three
    classes of difficulty; the easier the class, the tighter the target."""

    alpha_below: ClassVar[float] = inf
    usual_alphas: ClassVar[str] = "0.1 to 0.5"

    kind: Literal["difficulty-target"] = "difficulty-target"


class BudgetPenalty(Frozen):
    """L1-Max (2025): correct completions earn clip(alpha · (budget - tokens) + 1/2, 0, 1), where the prompt names the
    budget. alpha is per token; at alpha 0 a correct completion earns 1/2."""

    alpha_below: ClassVar[float] = inf
    usual_alphas: ClassVar[str] = "0.002 to 0.01 for budgets of thousands of tokens; about 1 / budget for others"

    kind: Literal["budget"] = "budget"


class CosinePenalty(Frozen):
    """Yeo et al. (2025): along a cosine that ends at max_tokens, correct completions earn from 1 down to 1 - alpha and
    wrong ones from -alpha · wrong_weight up to 0; truncated ones earn -alpha · wrong_weight."""

    alpha_below: ClassVar[float] = 1.0
    usual_alphas: ClassVar[str] = "0.1 to 0.5"

    kind: Literal["cosine"] = "cosine"
    wrong_weight: float = Field(1.0, ge=0, allow_inf_nan=False)
    """How much more length affects wrong completions than correct ones; 10 in the paper."""


class SolveRatePenalty(Frozen):
    """ALP (2025): every completion pays alpha per `unit` tokens, times the share of the group that is correct.

    Wrong answers earn less than right ones as long as alpha · max_tokens <= unit.
    """

    alpha_below: ClassVar[float] = inf
    usual_alphas: ClassVar[str] = "0.05 to 0.5, or 0.0001 (the paper's) under group-normalised advantages"

    kind: Literal["solve-rate"] = "solve-rate"
    unit: int = Field(1000, ge=1)
    """Number of tokens that cost alpha."""


class MeanRelativePenalty(Frozen):
    """GR3 (2026): correct completions earn 1 / (1 + alpha · tokens / the group's mean)."""

    alpha_below: ClassVar[float] = inf
    usual_alphas: ClassVar[str] = "0.1 to 0.5"

    kind: Literal["mean-relative"] = "mean-relative"


class ShortestCorrectPenalty(Frozen):
    """ShorterBetter (2025): every completion pays alpha per `unit` tokens by which its length differs from the shortest
    correct one of its group.

    Wrong answers earn less than right ones as long as alpha · max_tokens <= unit.
    """

    alpha_below: ClassVar[float] = inf
    usual_alphas: ClassVar[str] = "0.1 to 0.5"

    kind: Literal["shortest-correct"] = "shortest-correct"
    unit: int = Field(1000, ge=1)
    """Number of tokens that cost alpha."""


Penalty = Annotated[
    SigmoidPenalty
    | MinMaxPenalty
    | TruncationPenalty
    | LengthTargetPenalty
    | DifficultyTargetPenalty
    | BudgetPenalty
    | CosinePenalty
    | SolveRatePenalty
    | MeanRelativePenalty
    | ShortestCorrectPenalty,
    Field(discriminator="kind"),
]
"""A penalty, by which short correct completions earn more than long ones. Its alpha must be below `alpha_below`."""


def check_alpha(penalty: Penalty, alpha: float) -> None:
    """Raise `ValueError` if `alpha` is negative, not a number, or above the range of the penalty."""
    if not 0 <= alpha < penalty.alpha_below:
        above = penalty.alpha_below
        reason = "" if isinf(above) else f": at {above:g} a long right answer would earn no more than a wrong one"
        raise ValueError(
            f"alpha {alpha:g} is outside [0, {above:g}), the range of the {penalty.kind} penalty{reason}; "
            f"usual values are {penalty.usual_alphas}."
        )
