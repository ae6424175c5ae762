"""How often a model shows each behaviour, and what training did to that.

A shorter completion has less room for everything, so that it looks less verifying by construction: what is shown per
problem always stands beside what is shown per 1,000 tokens, and both are split by correctness, because wrong answers
tend to be longer.

All intervals are over problems. A rate per token is a ratio of two sums, and each problem enters with its linearised
value (Cochran 1977, section 6.3), around which the interval is Student's; counts are known to the nearest whole number
only, so that no interval has zero width.
"""

from math import sqrt
from typing import NamedTuple

import numpy as np

from effreason.artifacts import Interval
from effreason.behaviour.counting import Counts
from effreason.behaviour.kinds import KINDS, Kind
from effreason.evaluation.by_problem import ByProblem, Mask, common
from effreason.evaluation.completions import Judged
from effreason.evaluation.intervals import ROUNDING_VARIANCE, Column, mean, proportion, t_quantile
from effreason.frozen import Frozen

PER_TOKENS = 1000


class BehaviourRates(Frozen):
    """The rates of one behaviour in some of a model's completions."""

    completions: int
    """The completions that the rates are computed from."""
    per_problem: Interval | None
    """Mean instances per completion."""
    per_1000_tokens: Interval | None
    """All instances over all tokens, × 1,000."""
    share: Interval | None
    """Share of completions that show it at all."""


class BehaviourMeasures(Frozen):
    """One behaviour of a model on one suite. Made by `behaviours`; read by the report."""

    everything: BehaviourRates
    right: BehaviourRates
    wrong: BehaviourRates
    """Completions that could not be judged are neither correct nor wrong."""


class BehaviourChange(NamedTuple):
    """Rates after less rates before, on the problems that both models answered. Made by `behaviour_changes`."""

    per_problem: Interval | None
    per_1000_tokens: Interval | None


class _Estimate(NamedTuple):
    """An estimate, and the influence of each problem on it."""

    centre: float
    pulls: Column
    """The influences of the problems; their mean is 0."""
    rounding: float
    """Variance that remains where all problems agree."""


def behaviours(judged: Judged, counts: Counts) -> dict[Kind, BehaviourMeasures]:
    """Return the measures by behaviour; `counts` are those of the completions of `judged`, in its order."""
    problems = ByProblem(judged)
    groups = {
        "everything": problems.everything,
        "right": judged.judged & judged.right,
        "wrong": judged.judged & ~judged.right,
    }
    return {
        kind: BehaviourMeasures(**{name: _rates(problems, counts[:, i], among) for name, among in groups.items()})
        for i, kind in enumerate(KINDS)
    }


def behaviour_changes(
    before: Judged, before_counts: Counts, after: Judged, after_counts: Counts
) -> dict[Kind, BehaviourChange]:
    """Return the changes by behaviour, paired by problem; every problem weighs the same."""
    old, new = ByProblem(before), ByProblem(after)
    problems = common([old, new])
    old_tokens, new_tokens = (each.mean(each.completions.tokens, each.everything, problems) for each in (old, new))
    changes = {}
    for i, kind in enumerate(KINDS):
        shown = old.mean(before_counts[:, i], old.everything, problems)
        later = new.mean(after_counts[:, i], new.everything, problems)
        changes[kind] = BehaviourChange(
            per_problem=_changed(_mean(shown), _mean(later)),
            per_1000_tokens=_changed(_per_1000(shown, old_tokens), _per_1000(later, new_tokens)),
        )
    return changes


def _rates(problems: ByProblem, shown: Counts, among: Mask) -> BehaviourRates:
    def sums(values: Counts) -> Column:
        return np.array([part.sum() for part in problems.split(values, among) if len(part)], dtype=np.float64)

    rate = _limits(_per_1000(sums(shown), sums(problems.completions.tokens)))
    return BehaviourRates(
        completions=int(among.sum()),
        per_problem=mean(problems.split(shown, among)),
        per_1000_tokens=rate and Interval(max(rate.low, 0.0), rate.centre, rate.high),
        share=proportion(problems.split(shown > 0, among)),
    )


def _mean(shown: Column) -> _Estimate | None:
    if len(shown) < 2:
        return None
    return _Estimate(float(shown.mean()), shown - shown.mean(), ROUNDING_VARIANCE)


def _per_1000(shown: Column, tokens: Column) -> _Estimate | None:
    """Return instances per 1,000 tokens; None with fewer than two problems or without a token."""
    if len(shown) < 2 or not tokens.any():
        return None
    scale = PER_TOKENS / float(tokens.mean())
    rate = float(shown.mean()) * scale
    return _Estimate(rate, shown * scale - rate * tokens / tokens.mean(), ROUNDING_VARIANCE * scale**2)


def _changed(before: _Estimate | None, after: _Estimate | None) -> Interval | None:
    if before is None or after is None:
        return None
    rounding = before.rounding + after.rounding
    return _limits(_Estimate(after.centre - before.centre, after.pulls - before.pulls, rounding))


def _limits(estimate: _Estimate | None) -> Interval | None:
    if estimate is None:
        return None
    problems = len(estimate.pulls)
    error = sqrt((float(estimate.pulls.var(ddof=1)) + estimate.rounding) / problems)
    half = t_quantile(problems - 1) * error
    return Interval(estimate.centre - half, estimate.centre, estimate.centre + half)
