"""The length reward of Arora & Zanette, "Training Language Models to Reason Efficiently" (2025, arXiv 2502.04463).

    C      = token counts of the correct completions of the group
    z      = (tokens - mean(C)) / (std(C) + 1e-7)          population standard deviation
    reward = 1{correct} · (1 - alpha · sigmoid(z))

As in their code, one correct completion alone (or several of one length) has z = 0 and earns 1 - alpha / 2.
Departures:
1. tokens are the sampler's own count, never the text encoded again;
2. a completion that could not be judged has no reward at all, rather than a wrong one's.
"""

from math import exp
from statistics import fmean, pstdev

from effreason.records import Group

EPSILON = 1e-7
"""The authors' guard against a spread of zero."""


def sigmoid_rewards(group: Group, alpha: float) -> list[float | None]:
    """Return one reward per completion of a group: in (1 - alpha, 1) if correct, 0 if wrong, None if unjudged."""
    lengths = [outcome.tokens for outcome in group if outcome.correct]
    if not lengths:
        return [0.0 if outcome.judged else None for outcome in group]
    mean, spread = fmean(lengths), pstdev(lengths) + EPSILON
    # Only correct completions have a z, so |z| stays below the square root of their number and exp cannot overflow.
    return [
        1.0 - alpha / (1.0 + exp((mean - outcome.tokens) / spread))
        if outcome.correct
        else (0.0 if outcome.judged else None)
        for outcome in group
    ]
