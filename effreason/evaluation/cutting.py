"""A token limit on the base model: the baseline that costs no training.

Read from the stored completions: one of L tokens that is cut at T spends min(T, L) tokens and is wrong unless it ended
by then. A limit that is set when generating gives the same, since sampling does not know its limit.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from effreason.artifacts import Interval
from effreason.evaluation.by_problem import ByProblem, chosen, pooled
from effreason.evaluation.completions import Judged
from effreason.evaluation.intervals import Column, mean, proportion
from effreason.evaluation.resampling import Sample, Weighed, resampled
from effreason.evaluation.scores import judged_problems, samples_of, solve_rates

LIMITS = 64
"""The number of limits at which the base model is cut to find the limit of equal spending in each bootstrap draw."""


@dataclass(frozen=True)
class EqualSpending:
    """The base model, merely cut off where it spends what a policy spends. Made by `at_equal_spending`."""

    limit: int
    """Tokens at which every completion of the base model is cut."""
    accuracy: Interval | None
    """Accuracy of the base model cut at that limit, as are the next two."""
    tokens: Interval | None
    """Mean tokens: those of the policy, rounded up to a whole limit, unless the base model spends less uncut."""
    truncated: Interval | None
    """Share of completions that had not ended there."""
    gain: Interval | None
    """Accuracy of the policy less that of the base model cut there, paired by problem: what training is worth.

    Its interval allows for other problems calling for another limit.
    """


def cut_at(judged: Judged, limit: int) -> Judged:
    """Return the completions as a limit of so many tokens would have left them; those that it cuts are wrong.

    Texts stay as they are: where a token ends in them is not stored.
    """
    cut = judged.tokens > limit
    return replace(
        judged,
        tokens=np.minimum(judged.tokens, limit),
        truncated=judged.truncated | cut,
        right=judged.right & ~cut,
        judged=judged.judged | cut,
        extracted=[None if gone else answer for answer, gone in zip(judged.extracted, cut.tolist(), strict=True)],
        tokens_thinking=np.minimum(judged.tokens_thinking, limit),
    )


def limit_for(judged: Judged, tokens: float) -> int:
    """Return the least limit at which mean tokens reach `tokens`; the longest completion's where they never do.

    Rounding up favours the model that is cut. `judged` holds at least one completion.
    """
    lengths = np.sort(judged.tokens)
    ended = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    spent = (ended + lengths * np.arange(len(lengths), 0, -1)) / len(lengths)
    place = int(np.searchsorted(spent, tokens - 1e-9))
    if place == len(lengths):
        return int(lengths[-1])
    return int(np.ceil((tokens * len(lengths) - ended[place]) / (len(lengths) - place) - 1e-9))


def at_equal_spending(before: Judged, after: Sequence[Judged]) -> EqualSpending | None:
    """Compare the policies of one alpha, one per seed, with the base model cut off where it spends as much.

    None where no problem was given to both, or nothing of them was judged.
    """
    old, new = ByProblem(before), ByProblem(pooled(after))
    ids = sorted({*judged_problems(old)} & {*judged_problems(new)})
    if not ids:
        return None
    base, policy = (ByProblem(chosen(of.completions, np.isin(of.completions.problem_ids, ids))) for of in (old, new))
    limit = limit_for(base.completions, float(policy.mean_tokens(ids).mean()))
    cut = ByProblem(cut_at(base.completions, limit))
    return EqualSpending(
        limit=limit,
        accuracy=proportion(cut.rights(ids)),
        tokens=mean(cut.tokens(ids)),
        truncated=proportion(cut.split(cut.completions.truncated, cut.everything)),
        gain=_gain(base, policy, ids, limit),
    )


def _gain(base: ByProblem, policy: ByProblem, ids: Sequence[str], limit: int) -> Interval | None:
    """Bootstrap the gain, recomputing the limit in every draw from quantiles of the base model's lengths."""
    lengths = base.completions.tokens
    limits = np.unique(np.concatenate([[0, limit], np.quantile(lengths, np.linspace(0, 1, LIMITS)).astype(np.int64)]))
    cut = [cut_at(base.completions, each) for each in limits.tolist()]
    sample = Sample(
        counts={"tokens": policy.mean_tokens(ids)},
        rates={"right": solve_rates(policy, ids)},
        given={
            "spent": np.stack([base.mean(each.tokens, base.everything, ids) for each in cut], axis=1),
            "right within": np.stack([base.mean(each.right, each.judged, ids) for each in cut], axis=1),
        },
        samples=samples_of(base),
    )
    gain = resampled(sample, _beyond_the_cut)
    if gain is None:
        return None
    at_limit = float(sample.given["right within"][:, limits == limit].mean())
    rounding = float(sample.rates["right"].mean()) - at_limit - gain.centre
    return Interval(*(each + rounding for each in gain))


def _beyond_the_cut(of: Weighed) -> Column:
    """Return the policy's accuracy less the base model's at the interpolated limit of equal spending."""
    spent, right, wanted = of.mean(of["spent"]), of.mean(of["right within"]), of.mean(of["tokens"])
    above = np.clip((spent < wanted[:, None]).sum(axis=1), 1, spent.shape[1] - 1)[:, None]
    (low, high), (wrong, better) = (
        (np.take_along_axis(each, above - 1, 1)[:, 0], np.take_along_axis(each, above, 1)[:, 0])
        for each in (spent, right)
    )
    share = np.clip((wanted - low) / (high - low), 0.0, 1.0)
    return of.mean(of["right"]) - wrong - share * (better - wrong)
