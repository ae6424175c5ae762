"""Rewards that prefer short correct completions: one small file for each penalty.

    sigmoid             where a length lies among the correct ones of its group
    min_max             where it lies between the shortest and the longest of its group
    truncation          correct within a limit or nothing
    length_target       a bonus within a target
    difficulty_target   a bonus within a target that the batch sets for easy, medium and hard problems
    budget              against the budget that the prompt names
    cosine              along a cosine that ends at the token limit
    solve_rate          a price for tokens, the higher the more of the group is correct
    mean_relative       relative to the mean length of the group
    shortest_correct    away from the shortest correct one of the group

A completion that could not be judged has no reward and changes no other's. `trl_function` makes any of them a reward
function for a script of one's own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from effreason.choices import (
    BudgetPenalty,
    CosinePenalty,
    DifficultyTargetPenalty,
    LengthTargetPenalty,
    MeanRelativePenalty,
    MinMaxPenalty,
    Penalty,
    ShortestCorrectPenalty,
    SigmoidPenalty,
    SolveRatePenalty,
    TruncationPenalty,
)
from effreason.records import Group
from effreason.rewards.budget import budget_rewards
from effreason.rewards.cosine import cosine_rewards
from effreason.rewards.difficulty_target import difficulty_target_rewards
from effreason.rewards.length_target import length_target_rewards
from effreason.rewards.mean_relative import mean_relative_rewards
from effreason.rewards.min_max import min_max_rewards
from effreason.rewards.shortest_correct import shortest_correct_rewards
from effreason.rewards.sigmoid import sigmoid_rewards
from effreason.rewards.solve_rate import solve_rate_rewards
from effreason.rewards.truncation import limit_at, truncation_rewards


@dataclass(frozen=True, slots=True)
class Terms:
    """The facts that a penalty may use besides the group itself."""

    max_tokens: int
    """The token limit of the training run."""
    budgets: tuple[int, ...] | None = None
    """The token budget that each group's prompt names, one per group; None where prompts name none."""


def shape(penalty: Penalty, groups: Sequence[Group], alpha: float, terms: Terms) -> list[list[float | None]]:
    """Return the rewards of a batch, one list per group in its order; None for completions that could not be judged.

    Raises:
        UserError: the penalty goes by budgets and the prompts name none.
    """
    match penalty:
        case SigmoidPenalty():
            return [sigmoid_rewards(group, alpha) for group in groups]
        case MinMaxPenalty():
            return [min_max_rewards(group, alpha) for group in groups]
        case TruncationPenalty():
            return [truncation_rewards(group, limit_at(alpha, terms.max_tokens)) for group in groups]
        case LengthTargetPenalty(target=target):
            return [length_target_rewards(group, alpha, target) for group in groups]
        case DifficultyTargetPenalty():
            return difficulty_target_rewards(groups, alpha)
        case BudgetPenalty():
            return budget_rewards(groups, alpha, terms.budgets)
        case CosinePenalty(wrong_weight=weight):
            return [cosine_rewards(group, alpha, weight, terms.max_tokens) for group in groups]
        case SolveRatePenalty(unit=unit):
            return [solve_rate_rewards(group, alpha, unit) for group in groups]
        case MeanRelativePenalty():
            return [mean_relative_rewards(group, alpha) for group in groups]
        case ShortestCorrectPenalty(unit=unit):
            return [shortest_correct_rewards(group, alpha, unit) for group in groups]


def token_limit(penalty: Penalty, alpha: float, max_tokens: int) -> int:
    """Return how many tokens completions need to be sampled for: what lies beyond cannot change their reward."""
    return limit_at(alpha, max_tokens) if isinstance(penalty, TruncationPenalty) else max_tokens
