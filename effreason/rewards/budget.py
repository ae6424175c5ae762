"""The length reward L1-Max of Aggarwal & Welleck, "L1: Controlling How Long A Reasoning Model Thinks With Reinforcement
Learning" (2025, arXiv 2503.04697).

    reward = 1{correct} · clip(alpha · (budget - tokens) + 0.5, 0, 1)

The prompt names the budget. alpha is in the paper's unit, per token. At alpha 0 a correct completion earns 0.5, and far
beyond the budget it earns as little as a wrong one.
Departure: a completion that could not be judged has no reward.
"""

from collections.abc import Sequence

from effreason.errors import UserError
from effreason.records import Group


def budget_rewards(groups: Sequence[Group], alpha: float, budgets: Sequence[int] | None) -> list[list[float | None]]:
    """Return the rewards of a batch, one list per group: 0 … 1 if correct, 0 if wrong, None if unjudged.

    Raises:
        UserError: the prompts name no budgets.
    """
    if budgets is None:
        raise UserError(
            "The budget penalty needs prompts that state a budget, and these state none.",
            "Set data.prompt.budgets; in your own script, give every row a column `budget`.",
        )
    return [_within(group, alpha, budget) for group, budget in zip(groups, budgets, strict=True)]


def _within(group: Group, alpha: float, budget: int) -> list[float | None]:
    return [
        float(outcome.correct) * min(1.0, max(0.0, alpha * (budget - outcome.tokens) + 0.5)) if outcome.judged else None
        for outcome in group
    ]
