"""The adaptive length penalty ALP of Xiang et al., "Just Enough Thinking: Efficient Reasoning with Adaptive Length
Penalties Reinforcement Learning" (2025, arXiv 2506.05256).

    reward = 1{correct} - alpha · tokens / unit · max(solve rate, 1 / K)

over the K judged completions of the group. Wrong completions pay as well, so a long right one may earn less than a
short wrong one; it cannot while alpha · max_tokens <= unit.
Departures:
1. the paper's price is per token (1e-7, to be seen under GRPO's division by the group's spread); here it is for `unit`
   tokens, so alpha = 1e-7 · unit;
2. a completion that could not be judged has no reward and counts in neither rate nor K.
"""

from effreason.records import Group


def solve_rate_rewards(group: Group, alpha: float, unit: int) -> list[float | None]:
    """Return one reward per completion of a group: at most 1 if correct, at most 0 if wrong, None if unjudged."""
    judged = [outcome for outcome in group if outcome.judged]
    rate = max(sum(outcome.correct for outcome in judged), 1) / max(len(judged), 1)
    return [
        float(outcome.correct) - alpha * outcome.tokens / unit * rate if outcome.judged else None for outcome in group
    ]
