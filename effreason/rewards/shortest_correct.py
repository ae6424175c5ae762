"""The length reward of Yi et al., "ShorterBetter: Guiding Reasoning Models to Find Optimal Inference Length for
Efficient Reasoning" (2025, arXiv 2504.21370).

    optimal = tokens of the shortest correct completion of the group, else the mean of all judged ones
    reward  = 1{correct} - alpha · |tokens - optimal| / unit

Wrong completions pay as well, so a long right one may earn less than a wrong one of the optimal length; it cannot
while alpha · max_tokens <= unit. In a group without a correct completion this draws all lengths to their mean.
Departures:
1. the paper has 2 · 1{correct} - 0.001 · |tokens - optimal|, which is twice this at alpha 0.5 and a unit of 1000;
2. a completion that could not be judged has no reward, and its length does not count.
"""

from statistics import fmean

from effreason.records import Group


def shortest_correct_rewards(group: Group, alpha: float, unit: int) -> list[float | None]:
    """Return one reward per completion of a group: at most 1 if correct, at most 0 if wrong, None if unjudged."""
    optimal = _optimal_tokens(group)
    return [
        float(outcome.correct) - alpha * abs(outcome.tokens - optimal) / unit if outcome.judged else None
        for outcome in group
    ]


def _optimal_tokens(group: Group) -> float:
    if correct := [outcome.tokens for outcome in group if outcome.correct]:
        return min(correct)
    return fmean([outcome.tokens for outcome in group if outcome.judged] or [0])
