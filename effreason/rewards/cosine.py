"""The cosine reward of Yeo et al., "Demystifying Long Chain-of-Thought Reasoning in LLMs" (2025, arXiv 2502.03373).

    share  = (1 - cos(pi · tokens / max_tokens)) / 2                           0 at no tokens, 1 at the limit
    reward = 1 - alpha · share                            if correct
             -alpha · wrong_weight · (1 - share)          if wrong
             -alpha · wrong_weight                        if truncated

Wrong completions earn the more the longer they are, up to the limit: the paper wants a policy that does not know to
go on thinking.
Departures:
1. the paper sets five rewards by hand (correct 2 to 1, wrong -10 to 0, truncated -10); here one alpha scales all, so
   that alpha 0 is plain correctness. Twice this reward at alpha 0.5 and wrong_weight 10 is the paper's; wrong_weight is
   1 by default, because at 10 wrong completions are drawn out more than correct ones are cut;
2. the paper's penalty for repetition is left out;
3. a completion that could not be judged has no reward.
"""

from math import cos, pi

from effreason.records import Group, Outcome


def cosine_rewards(group: Group, alpha: float, wrong_weight: float, max_tokens: int) -> list[float | None]:
    """Return one reward per completion of a group: 1 - alpha … 1 if correct, -alpha · wrong_weight … 0 if wrong or
    truncated (it has max_tokens), None if unjudged."""
    return [_reward(outcome, alpha, wrong_weight, max_tokens) for outcome in group]


def _reward(outcome: Outcome, alpha: float, wrong_weight: float, max_tokens: int) -> float | None:
    share = (1 - cos(pi * min(1.0, outcome.tokens / max_tokens))) / 2
    if not outcome.judged:
        return None
    if outcome.correct:
        return 1.0 - alpha * share
    truncated = outcome.tokens >= max_tokens
    return -alpha * wrong_weight * (1.0 if truncated else 1.0 - share)
