"""The length reward of GR3, which rescales a reward by the length relative to the group's (2026, arXiv 2603.10535).

    reward = 1{correct} / (1 + alpha · tokens / mean)       mean over all judged completions of the group

Where all completions are empty, each has the mean length.
Departure: a completion that could not be judged has no reward, and its length does not count.
"""

from statistics import fmean

from effreason.records import Group


def mean_relative_rewards(group: Group, alpha: float) -> list[float | None]:
    """Return one reward per completion of a group: in (0, 1] if correct, 0 if wrong, None if unjudged."""
    lengths = [outcome.tokens for outcome in group if outcome.judged]
    mean = fmean(lengths) if lengths else 0.0
    return [
        float(outcome.correct) / (1.0 + alpha * (outcome.tokens / mean if mean else 1.0)) if outcome.judged else None
        for outcome in group
    ]
