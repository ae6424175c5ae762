"""The truncation reward of ThinkPrune (Hou et al. 2025, arXiv 2504.01296) and DLER (Liu et al. 2025, arXiv 2510.15110).

    limit  = round((1 - alpha) · max_tokens)
    reward = 1{correct} · 1{the completion ends within limit}

The token that ends the completion has to fit as well: tokens, which does not count it, is below the limit. So a
completion that is cut at the limit while it is sampled, hence truncated, hence wrong, earns what it would have earned
had it been let go on; sampling may stop there and save the time.
Departures:
1. the papers have no alpha: ThinkPrune goes through limits (4k, 3k, 2k tokens, each from the policy of the one before)
   and DLER has one; here alpha is the share of the token limit that is taken away, so that alpha 0 is plain
   correctness, and a schedule of alpha is a schedule of limits;
2. a completion that could not be judged has no reward.
"""

from effreason.records import Group


def limit_at(alpha: float, max_tokens: int) -> int:
    """Return the tokens that `alpha` leaves of `max_tokens`, the one that ends the completion included; at least 1."""
    return max(1, round((1 - alpha) * max_tokens))


def truncation_rewards(group: Group, limit: int) -> list[float | None]:
    """Return one reward per completion of a group: 1 if correct within `limit`, else 0; None if unjudged."""
    return [float(outcome.correct and outcome.tokens < limit) if outcome.judged else None for outcome in group]
