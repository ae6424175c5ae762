"""The length reward of "Kimi k1.5: Scaling Reinforcement Learning with LLMs" (Kimi Team 2025, arXiv 2501.12599, 2.3.3).

    lam    = 0.5 - (tokens - min) / (max - min)            over all judged completions of the group
    reward = 1 + alpha · lam         if correct
             alpha · min(0, lam)     if wrong

Where all lengths are equal, lam is 0. Truncated completions are wrong ones, and the length at which they were cut
counts among the others. A correct completion earns at least 1 - alpha / 2 and a wrong one at most 0, so wrong stays
below right for alpha below 2.
Departures:
1. the paper weighs the length reward without naming the weight; here it is alpha;
2. the paper starts without a penalty; here that is the training's schedule of alpha;
3. a completion that could not be judged has no reward, and its length does not count.
"""

from effreason.records import Group


def min_max_rewards(group: Group, alpha: float) -> list[float | None]:
    """Return one reward per completion of a group: 1 ± alpha/2 if correct, -alpha/2 … 0 if wrong, None if unjudged."""
    lengths = [outcome.tokens for outcome in group if outcome.judged]
    shortest, longest = min(lengths, default=0), max(lengths, default=0)
    return [
        None
        if not outcome.judged
        else 1.0 + alpha * _lead(outcome.tokens, shortest, longest)
        if outcome.correct
        else alpha * min(0.0, _lead(outcome.tokens, shortest, longest))
        for outcome in group
    ]


def _lead(tokens: int, shortest: int, longest: int) -> float:
    """Return lambda of the paper: 0.5 for the shortest completion, -0.5 for the longest."""
    return 0.5 - (tokens - shortest) / (longest - shortest) if longest > shortest else 0.0
