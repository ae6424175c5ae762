"""Confidence intervals with problems as the draws: eight samples of one problem are not eight facts.

Every function takes the samples problem by problem; those of one problem stand or fall together. Where fewer than two
problems have any, the answer is None. No interval has zero width: a unanimous sample is evidence, not certainty.

    proportion   between Wilson (1927) and Agresti & Coull (1998), at the effective sample size of a clustered sample
    mean         Student's t with the skewness corrected (Hall 1992)
    difference   of two proportions, from their intervals and their correlation (Newcombe 1998; Zou & Donner 2008)
    reduction    from the ratio of two means (Fieller 1954), with and without Hall's correction; of the mean of ratios,
                 as a mean

Departures, each chosen by simulation (tests/test_intervals.py says what they cover): the design effect and the
correlation are estimated as if a tenth of a problem more had been seen; and the limits of a proportion lie a quarter
of the way from Wilson's to the wider ones of Agresti and Coull, because Wilson's alone cover only 88 to 90% at a rate
of 0.995 in 30 problems whose samples agree strongly (a correlation of 0.8 to 0.9), and the wider ones alone 98% at 0.95
in 30. Between rates of 0.2 and 0.95, 30 and 500 problems, and correlations of 0 and 0.9, those between cover 92.8 to
97.1%: both at 0.95, in 50 and in 30, where one or two problems fail and limits jump from count to count; and between
rates of 0.97 and 0.999, 92.6 to 99.5%, where Wilson's cover 88.1 to 98.2%.
"""

from collections.abc import Sequence
from functools import cache
from math import pi, sqrt, tan
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from effreason.artifacts import Interval

PerProblem = Sequence[ArrayLike]
"""The samples of each problem; a problem without any is left out."""

Column = NDArray[np.float64]
"""One number per problem."""

CONFIDENCE = 0.95
"""The confidence of two-sided intervals."""
PSEUDO_PROBLEMS = 0.05
"""The number of problems that are all correct, and likewise all wrong, that are added where a spread is estimated."""
BEYOND_WILSON = 0.25
"""The fraction of the way from Wilson's limits to Agresti and Coull's by which a proportion's limits are moved."""
ROUNDING_VARIANCE = 1 / 12
"""The variance of rounding a count to a whole number: the doubt that is left when all counts agree."""


def proportion(per_problem: PerProblem, confidence: float = CONFIDENCE) -> Interval | None:
    """Estimate the chance that a sample is 1, from samples of 0 and 1; every problem weighs the same."""
    rates, sizes = _rates_and_sizes(per_problem)
    return proportion_of_rates(rates, float(sizes.mean()), confidence) if len(rates) else None


def proportion_of_rates(rates: Column, draws: float, confidence: float = CONFIDENCE) -> Interval | None:
    """Estimate the same as `proportion`, from one rate in [0, 1] per problem that stands for so many independent
    `draws`.

    With n problems of m draws the effective sample size is n·m / D. The design effect D (Kish 1965) is the variance of
    the rates as it is over what it would be if all draws were independent, and lies between 1 and m.
    """
    if len(rates) < 2:
        return None
    z = _normal(confidence)
    centre = min(max(float(rates.mean()), 0.0), 1.0)
    size = len(rates) * draws / _design_effect(rates, draws)
    middle = (centre + z * z / (2 * size)) / (1 + z * z / size)
    wilson = z / (1 + z * z / size) * sqrt(centre * (1 - centre) / size + z * z / (4 * size * size))
    agresti_coull = z * sqrt(middle * (1 - middle) / (size + z * z))
    half = wilson + BEYOND_WILSON * (agresti_coull - wilson)
    return Interval(max(0.0, min(middle - half, centre)), centre, min(1.0, max(middle + half, centre)))


def mean(per_problem: PerProblem, confidence: float = CONFIDENCE) -> Interval | None:
    """Estimate the mean of counts such as tokens; every sample weighs the same.

    Where problems differ in their number of samples this is a ratio of two sums, and each problem enters with its
    linearised value (Cochran 1977, section 6.3).
    """
    means, sizes = _rates_and_sizes(per_problem)
    if len(means) < 2:
        return None
    centre = float((means * sizes).sum() / sizes.sum())
    values = centre + (means - centre) * sizes / sizes.mean()
    error = sqrt((float(values.var(ddof=1)) + ROUNDING_VARIANCE) / len(values))
    below, above = _hall(values, t_quantile(len(values) - 1, confidence), ROUNDING_VARIANCE)
    return Interval(min(max(0.0, centre - above * error), centre), centre, centre - below * error)


def difference(before: PerProblem, after: PerProblem, confidence: float = CONFIDENCE) -> Interval | None:
    """Estimate the change of a proportion, from samples of 0 and 1 of the same problems in the same order.

    The distances of both proportions to their limits are added as two correlated errors are, so that the interval
    respects that they are cut off at 0 and 1.
    """
    before, after = _both_known(before, after)
    (old, old_sizes), (new, new_sizes) = _rates_and_sizes(before), _rates_and_sizes(after)
    if len(old) < 2:
        return None
    first = proportion_of_rates(old, float(old_sizes.mean()), confidence)
    second = proportion_of_rates(new, float(new_sizes.mean()), confidence)
    assert first and second  # noqa: S101  both have two problems
    correlation = _correlation(old, new)
    centre = second.centre - first.centre
    low = centre - _combined(second.centre - second.low, first.high - first.centre, correlation)
    high = centre + _combined(second.high - second.centre, first.centre - first.low, correlation)
    return Interval(max(-1.0, low), centre, min(1.0, high))


def reduction(before: PerProblem, after: PerProblem, confidence: float = CONFIDENCE) -> Interval | None:
    """Estimate 1 - mean(after) / mean(before) of counts, paired by problem; None where `before` is not surely above 0.

    The limits are the ratios r at which a t test no longer tells mean(after) - r · mean(before) from 0: on either side
    the wider of those of the plain test and of the one whose skewness is corrected as in `mean`. The plain one alone
    takes a model that has become a little shorter and now and then does not end for a shorter one too often.
    """
    before, after = _both_known(before, after)
    old, new = _rates_and_sizes(before)[0], _rates_and_sizes(after)[0]
    if len(old) < 2 or old.mean() <= 0:
        return None
    t, apart = t_quantile(len(old) - 1, confidence), _Apart(old, new)
    centre = float(new.mean() / old.mean())
    limits = [apart.ratios(t, centre, skewed) for skewed in (False, True)]
    if None in limits:
        return None
    lows, highs = zip(*limits, strict=True)
    return Interval(1 - max(highs), 1 - centre, 1 - min(lows))


def reduction_by_problem(before: PerProblem, after: PerProblem, confidence: float = CONFIDENCE) -> Interval | None:
    """Estimate the mean over problems of 1 - after / before, each the mean of its counts; a problem without tokens
    before is left out.

    Unlike `reduction` it weighs a short problem as much as a long one.
    """
    before, after = _both_known(before, after)
    old, new = _rates_and_sizes(before)[0], _rates_and_sizes(after)[0]
    old, new = old[old > 0], new[old > 0]
    if len(old) < 2:
        return None
    values = 1 - new / old
    rounding = ROUNDING_VARIANCE * float(((1 + (new / old) ** 2) / old**2).mean())
    centre, error = float(values.mean()), sqrt((float(values.var(ddof=1)) + rounding) / len(values))
    below, above = _hall(values, t_quantile(len(values) - 1, confidence), rounding)
    return Interval(centre - above * error, centre, min(1.0, centre - below * error))


@cache
def t_quantile(freedom: int, confidence: float = CONFIDENCE) -> float:
    """Return the two-sided quantile of Student's t with `freedom` degrees of freedom, to within 1e-5 of its value.

    Where t = sqrt(ν) tan θ, the density of θ is proportional to cos(θ)^(ν - 1), which is added up on a grid.
    """
    widest = min(pi / 2, 9 / sqrt(freedom))
    edges = np.linspace(-widest, widest, 40_001)
    density = np.cos((edges[1:] + edges[:-1]) / 2) ** (freedom - 1)
    below = np.concatenate([[0.0], np.cumsum(density)]) / density.sum()
    return sqrt(freedom) * tan(float(np.interp((1 + confidence) / 2, below, edges)))


def _normal(confidence: float) -> float:
    return NormalDist().inv_cdf((1 + confidence) / 2)


class _Draws(NamedTuple):
    rates: Column
    sizes: Column


def _rates_and_sizes(per_problem: PerProblem) -> _Draws:
    """Return the mean and the number of the samples of each problem that has any."""
    sizes = np.array([np.size(samples) for samples in per_problem], dtype=np.int64)
    if not sizes.any():
        return _Draws(np.zeros(0), np.zeros(0))
    values = np.concatenate([np.asarray(samples, dtype=np.float64) for samples in per_problem])
    totals = np.bincount(np.repeat(np.arange(len(sizes)), sizes), values, minlength=len(sizes))
    known = sizes > 0
    return _Draws(totals[known] / sizes[known], sizes[known].astype(np.float64))


def _both_known(before: PerProblem, after: PerProblem) -> tuple[list[ArrayLike], list[ArrayLike]]:
    pairs = [(old, new) for old, new in zip(before, after, strict=True) if np.size(old) and np.size(new)]
    return [old for old, _ in pairs], [new for _, new in pairs]


def _design_effect(rates: Column, draws: float) -> float:
    problems = len(rates) + 2 * PSEUDO_PROBLEMS
    centre = (float(rates.sum()) + PSEUDO_PROBLEMS) / problems
    squares = float(np.square(rates - centre).sum()) + PSEUDO_PROBLEMS * ((1 - centre) ** 2 + centre**2)
    effect = draws * squares / (problems - 1) / (centre * (1 - centre))
    return min(max(effect, 1.0), max(draws, 1.0))


def _correlation(old: Column, new: Column) -> float:
    """Return the correlation of two models' per-problem rates, shrunk below 1 so that equal columns leave some
    doubt."""
    problems = len(old) + 2 * PSEUDO_PROBLEMS
    x, y = (float(old.sum()) + PSEUDO_PROBLEMS) / problems, (float(new.sum()) + PSEUDO_PROBLEMS) / problems
    together = float((old * new).sum()) + PSEUDO_PROBLEMS / 2 - problems * x * y
    each = [float(np.square(column).sum()) + PSEUDO_PROBLEMS - problems * m * m for column, m in ((old, x), (new, y))]
    return together / sqrt(each[0] * each[1])


def _combined(one: float, other: float, correlation: float) -> float:
    return sqrt(max(one * one - 2 * correlation * one * other + other * other, 0.0))


class _Apart:
    """The distance of mean(new) from r times mean(old) in standard errors, for any r; it falls as r grows."""

    def __init__(self, old: Column, new: Column) -> None:
        x, y = old - old.mean(), new - new.mean()
        self._number, self._means = len(old), (float(old.mean()), float(new.mean()))
        self._squares = float((y * y).mean()), -2 * float((x * y).mean()), float((x * x).mean())
        cubes = (y * y * y).mean(), -3 * (x * y * y).mean(), 3 * (x * x * y).mean(), -(x * x * x).mean()
        self._cubes = [float(each) for each in cubes]

    def ratios(self, t: float, centre: float, skewed: bool) -> tuple[float, float] | None:
        """Return the lowest and highest r that are not further than t away; None where none is too high."""
        beyond = (centre + step for step in np.logspace(-6, 6, 49).tolist())
        above = next((ratio for ratio in beyond if self.at(ratio, skewed) <= -t), None)
        if above is None:
            return None
        low = self._crossing(t, 0.0, centre, skewed) if self.at(0.0, skewed) > t else 0.0
        return low, self._crossing(-t, centre, above, skewed)

    def at(self, ratio: float, skewed: bool) -> float:
        """Return the distance at a ratio; `skewed` applies Hall's transformation, which removes the skewness."""
        rounding = ROUNDING_VARIANCE * (1 + ratio * ratio)
        variance = sum(factor * ratio**power for power, factor in enumerate(self._squares))
        old, new = self._means
        number = self._number
        apart = (new - ratio * old) / sqrt((variance * number / (number - 1) + rounding) / number)
        if not skewed:
            return apart
        third = sum(factor * ratio**power for power, factor in enumerate(self._cubes))
        slope = third / sqrt(variance + rounding) ** 3 / (3 * sqrt(number))
        return apart + slope * apart**2 + slope**2 * apart**3 / 3 + slope / 2

    def _crossing(self, level: float, low: float, high: float, skewed: bool) -> float:
        """Return the ratio between the two at which the means are `level` apart, by halving."""
        for _ in range(50):
            middle = (low + high) / 2
            low, high = (middle, high) if self.at(middle, skewed) > level else (low, middle)
        return (low + high) / 2


def _hall(values: Column, t: float, rounding: float) -> tuple[float, float]:
    """Return the studentised deviations, below and above, that Hall's transformation takes to -t and t.

    T + γT²/(3√n) + γ²T³/(27n) + γ/(6√n) has no skewness to first order, and is solved for T. `rounding` is the
    variance of what each value may be off.
    """
    deviations = values - values.mean()
    spread = sqrt(float(np.square(deviations).mean()) + rounding)
    slope = float((deviations**3).mean()) / spread**3 / (3 * sqrt(len(values)))
    if abs(slope) < 1e-6:
        return -t, t
    below, above = ((np.cbrt(1 + 3 * slope * (limit - slope / 2)) - 1) / slope for limit in (-t, t))
    return float(below), float(above)
