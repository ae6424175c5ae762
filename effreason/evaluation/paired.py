"""What changed from the base model to the policies of one alpha, problem by problem.

Other seeds: problems and seeds are crossed, as every policy answers the same problems. The half widths of the interval
over problems, h, and of a t interval over the changes of the seeds, s, are joined to √(h² + s²) on either side (as the
modified large-sample method of Graybill & Wang 1980 does for a sum of variance components). The chance in the samples
enters both, so that interval is rather too wide than too narrow; with two seeds s would be 6 times their distance and
say nothing, so it takes three.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from math import comb, sqrt

import numpy as np

from effreason.artifacts import Interval
from effreason.evaluation.by_problem import ByProblem, common, pooled
from effreason.evaluation.completions import Judged
from effreason.evaluation.intervals import Column, reduction_by_problem, t_quantile
from effreason.evaluation.measures import Change, change, pooled_change
from effreason.evaluation.scores import solve_rates

FEWEST_SEEDS = 3


@dataclass(frozen=True)
class SignTest:
    """The numbers of problems on which the second of two models did better, worse and the same."""

    better: int
    worse: int
    equal: int
    p: float
    """Two-sided and exact: how often better + worse throws of a fair coin fall at least as unevenly."""


@dataclass(frozen=True)
class Comparison:
    """The comparison of the policies of one alpha with the base model. Made by `compare`; read by the report."""

    problems: int
    """The number of problems that all of them were measured on."""
    seeds: int
    accuracy: Interval | None
    """Accuracy after less accuracy before, as a fraction; all seeds together."""
    token_reduction: Interval | None
    """Ratio of means: 1 - mean tokens after / mean tokens before; the reduction of the total cost."""
    token_reduction_by_problem: Interval | None
    """Mean of ratios: 1 - after / before, averaged over problems; the reduction of a typical problem, long or short."""
    accuracy_signs: SignTest | None
    """The sign test on the share of correct ones among the judged completions of a problem."""
    token_signs: SignTest | None
    """The sign test on the mean tokens of a problem; fewer is better."""
    with_seeds: Change | None
    """Accuracy and token reduction with intervals that also account for other seeds; None with fewer than three."""
    missing: dict[str, str]
    """The reason for each field that is None, by its name."""


def compare(before: Judged, after: Sequence[Judged]) -> Comparison:
    """Compare the policies of one alpha, one per seed, with the base model, on one suite."""
    old, new = ByProblem(before), ByProblem(pooled(after))
    ids = common([old, new])
    pair = pooled_change(before, after)
    comparison = Comparison(
        problems=len(ids),
        seeds=len(after),
        accuracy=pair.accuracy,
        token_reduction=pair.token_reduction,
        token_reduction_by_problem=reduction_by_problem(old.tokens(ids), new.tokens(ids)),
        accuracy_signs=_signs(solve_rates(old, ids), solve_rates(new, ids)),
        token_signs=_signs(-old.mean_tokens(ids), -new.mean_tokens(ids)),
        with_seeds=_with_seeds(pair, [change(before, one) for one in after]),
        missing={},
    )
    absent = [field.name for field in fields(comparison) if getattr(comparison, field.name) is None]
    return replace(comparison, missing={name: _why(name, comparison.seeds) for name in absent})


def sign_test(before: Column, after: Column) -> SignTest:
    """Test one number per problem, larger being better; problems where both are equal favour neither direction."""
    better, worse = int((after > before).sum()), int((after < before).sum())
    throws = better + worse
    tail = sum(comb(throws, heads) for heads in range(max(better, worse), throws + 1))
    return SignTest(better, worse, len(before) - throws, min(1.0, 2 * tail / 2**throws))


def _signs(before: Column, after: Column) -> SignTest | None:
    known = ~(np.isnan(before) | np.isnan(after))
    return sign_test(before[known], after[known]) if known.any() else None


def _with_seeds(pair: Change, seeds: Sequence[Change]) -> Change | None:
    if len(seeds) < FEWEST_SEEDS:
        return None
    return Change(
        accuracy=_widened(pair.accuracy, [seed.accuracy for seed in seeds], lowest=-1.0),
        token_reduction=_widened(pair.token_reduction, [seed.token_reduction for seed in seeds], lowest=-np.inf),
    )


def _widened(over_problems: Interval | None, seeds: Sequence[Interval | None], lowest: float) -> Interval | None:
    centres = [seed.centre for seed in seeds if seed]
    if over_problems is None or len(centres) < len(seeds):
        return None
    half = t_quantile(len(centres) - 1) * float(np.std(centres, ddof=1)) / sqrt(len(centres))
    low, centre, high = over_problems
    return Interval(
        max(lowest, centre - sqrt((centre - low) ** 2 + half**2)),
        centre,
        min(1.0, centre + sqrt((high - centre) ** 2 + half**2)),
    )


def _why(name: str, seeds: int) -> str:
    if name == "with_seeds":
        return f"Only {seeds} of {FEWEST_SEEDS} seeds: too few to estimate the spread between seeds."
    if name.endswith("signs"):
        return "No problem was judged before and after."
    return "Too few problems were measured before and after."
