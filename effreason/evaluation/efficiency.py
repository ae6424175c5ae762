"""What a saving is worth beside what it costs: the efficiency scores of a policy and of its base model.

The accuracy-efficiency score (AES; Luo et al. 2025, O1-Pruner, arXiv 2501.12570) is

    saved + gain · Δ   where the accuracy rose,     saved = 1 - tokens after / tokens before
    saved + loss · Δ   where it fell,               Δ = accuracy after / accuracy before - 1

with the weights 3 and 5 there, and 5 and 10 in some later papers. Above 0 the saving outweighs the loss.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from effreason.artifacts import Interval
from effreason.evaluation.by_problem import ByProblem, pooled
from effreason.evaluation.completions import Judged
from effreason.evaluation.intervals import Column
from effreason.evaluation.resampling import Sample, Weighed, resampled
from effreason.evaluation.scores import areas_of, judged_problems, samples_of, solve_rates, spent


@dataclass(frozen=True)
class Efficiency:
    """Efficiency scores on the problems that were judged before and after. Made by `efficiency`; read by the report."""

    longest: int
    """Tokens: the budgets of the area go from 0 to here."""
    area_before: Interval | None
    """Accuracy within a token budget, averaged over all budgets from 0 to `longest`; in [0, 1], larger is better."""
    area_after: Interval | None
    area_change: Interval | None
    """Area after less area before."""
    tokens_per_right_before: Interval | None
    """Mean tokens over accuracy: the tokens spent per correct answer."""
    tokens_per_right_after: Interval | None
    tokens_per_right_reduction: Interval | None
    """1 - after / before."""
    aes: Interval | None
    """The accuracy-efficiency score with the weights 3 and 5."""
    aes_strict: Interval | None
    """The score with the weights 5 and 10."""
    missing: dict[str, str]
    """The reason for each field that is None, by its name."""


class Weighting(NamedTuple):
    """The weights of a relative gain and loss of accuracy in AES, where the share of tokens saved has weight 1."""

    gain: float
    loss: float


O1_PRUNER = Weighting(gain=3, loss=5)
STRICT = Weighting(gain=5, loss=10)


def efficiency(before: Judged, after: Sequence[Judged], longest: int) -> Efficiency:
    """Score the policies of one alpha, one per seed, together.

    Args:
        before: the base model on one suite.
        after: the policies on the same suite.
        longest: tokens at which the area ends; `scores.longest_budget` of the protocol. The same for all that are
            to be compared.
    """
    old, new = ByProblem(before), ByProblem(pooled(after))
    ids = sorted({*judged_problems(old)} & {*judged_problems(new)})
    samples = max(samples_of(old), samples_of(new))
    rates = {"right": solve_rates(old, ids), "right after": solve_rates(new, ids)}
    tokens = {"tokens": spent(old, ids), "tokens after": spent(new, ids)}
    areas = {"area": areas_of(old, longest, ids), "area after": areas_of(new, longest, ids)}
    spending, curve = Sample(tokens, rates, {}, samples), Sample({}, areas, {}, samples)
    scores = {
        "area_before": resampled(curve, lambda of: of.mean(of["area"])),
        "area_after": resampled(curve, lambda of: of.mean(of["area after"])),
        "area_change": resampled(curve, lambda of: of.mean(of["area after"] - of["area"])),
        "tokens_per_right_before": resampled(spending, lambda of: of.mean(of["tokens"]) / of.mean(of["right"])),
        "tokens_per_right_after": resampled(spending, _price_after),
        "tokens_per_right_reduction": resampled(spending, _cheaper),
        "aes": resampled(spending, lambda of: _aes(of, O1_PRUNER)),
        "aes_strict": resampled(spending, lambda of: _aes(of, STRICT)),
    }
    reason = _too_few(len(ids)) if len(ids) < 2 else "Nothing is right, or nothing was spent, so there is no ratio."
    return Efficiency(longest, **scores, missing={name: reason for name, score in scores.items() if score is None})


def _too_few(problems: int) -> str:
    counted = "1 problem was" if problems == 1 else f"{problems} problems were"
    return f"{counted} judged before and after; an interval needs two."


def _price_after(of: Weighed) -> Column:
    return of.mean(of["tokens after"]) / of.mean(of["right after"])


def _cheaper(of: Weighed) -> Column:
    return 1 - _price_after(of) * of.mean(of["right"]) / of.mean(of["tokens"])


def _aes(of: Weighed, weighting: Weighting) -> Column:
    saved = 1 - of.mean(of["tokens after"]) / of.mean(of["tokens"])
    change = of.mean(of["right after"]) / of.mean(of["right"]) - 1
    return np.where(change >= 0, saved + weighting.gain * change, saved + weighting.loss * change)
