"""The length reward LASER of Liu et al., "Learn to Reason Efficiently with Adaptive Length-based Reward Shaping"
(2025, arXiv 2505.15612).

    reward = 1{correct} · (1 + alpha · 1{tokens <= target})

Departures:
1. a wrong completion earns 0, where the authors' code has -0.5, so that alpha 0 is plain correctness;
2. a completion that could not be judged has no reward.
"""

from effreason.records import Group


def length_target_rewards(group: Group, alpha: float, target: int) -> list[float | None]:
    """Return one reward per completion of a group: 1 + alpha if correct within `target` tokens, 1 if correct beyond,
    0 if wrong, None if unjudged."""
    return [
        float(outcome.correct) * (1.0 + alpha * (outcome.tokens <= target)) if outcome.judged else None
        for outcome in group
    ]
