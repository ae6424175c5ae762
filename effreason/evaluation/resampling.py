"""Intervals of what no formula covers: functions of means over problems, by the Bayesian bootstrap (Rubin 1981).

Every draw weighs the problems at random, exponentially, so that no problem is ever wholly left out and a ratio keeps
its denominator. The limits are percentiles of the statistic over the draws, taken as much further out as a t interval
is wider than a normal one of the same problems (the expanded percentiles of Hesterberg 2015, section 5.3).

Departures, so that no interval has zero width: every draw also holds imagined problems that are all right or all wrong,
weighing as much together as one sample of one problem; and a count is known to the nearest whole number only.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import isfinite, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from effreason.artifacts import Interval
from effreason.evaluation.intervals import CONFIDENCE, Column, t_quantile

DRAWS = 2000


@dataclass(frozen=True)
class Weighed:
    """The columns of all problems under one or many weightings. Made by `resampled`; read by a statistic."""

    columns: Mapping[str, Column]
    weights: NDArray[np.float64]
    """Draws × problems; each row sums to 1."""

    def __getitem__(self, name: str) -> Column:
        return self.columns[name]

    def mean(self, column: Column) -> Column:
        """Return the mean over problems for each draw; a row for each draw of a column with several numbers per
        problem."""
        return np.asarray(self.weights @ column, dtype=np.float64)


Statistic = Callable[[Weighed], Column]
"""The quantity to estimate, made of means over problems: one number for each draw."""


@dataclass(frozen=True)
class Sample:
    """Columns of one number per problem, by name. Made by whoever wants an interval."""

    counts: Mapping[str, Column]
    """Counts, such as mean tokens."""
    rates: Mapping[str, Column]
    """Rates in [0, 1]; there may be few of them, for each doubles the imagined problems."""
    given: Mapping[str, Column]
    """Columns without sampling error, such as the difficulty; or several numbers per problem, as rows."""
    samples: float
    """Completions behind the figures of each problem."""

    @property
    def columns(self) -> dict[str, Column]:
        return {**self.counts, **self.rates, **self.given}

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))


def resampled(sample: Sample, statistic: Statistic, confidence: float = CONFIDENCE) -> Interval | None:
    """Estimate the statistic of all problems with its limits; None with fewer than two problems or if undefined."""
    if len(sample) < 2:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        centre = float(statistic(Weighed(sample.columns, np.full((1, len(sample)), 1 / len(sample))))[0])
        draws = statistic(_drawn(sample))
    if not (isfinite(centre) and np.isfinite(draws).all()):
        return None
    tail = _tail(len(sample), confidence)
    low, high = np.quantile(draws, [tail, 1 - tail])
    return Interval(min(float(low), centre), centre, max(float(high), centre))


def _drawn(sample: Sample) -> Weighed:
    """Draw weights with an imagined problem for each combination of rates of 0 and 1, and counts within rounding."""
    problems, imagined = len(sample), 2 ** len(sample.rates) if sample.rates else 0
    outcomes = np.array([*product((0.0, 1.0), repeat=len(sample.rates))]).T
    within = np.random.default_rng(1).uniform(-0.5, 0.5, (len(sample.counts), problems))
    counts = {name: column + within[i] for i, (name, column) in enumerate(sample.counts.items())}
    columns = {
        **{name: np.append(column, outcomes[i]) for i, (name, column) in enumerate(sample.rates.items())},
        **{name: _with_usual(column, imagined) for name, column in (counts | dict(sample.given)).items()},
    }
    return Weighed(columns, _weights(DRAWS, problems, imagined, sample.samples))


def _with_usual(column: Column, imagined: int) -> Column:
    """Extend a column by imagined problems, which have its mean."""
    return np.concatenate([column, np.repeat(column.mean(axis=0, keepdims=True), imagined, axis=0)])


@lru_cache(maxsize=2)
def _weights(draws: int, problems: int, imagined: int, samples: float) -> NDArray[np.float64]:
    random = np.random.default_rng(0)
    weights = random.standard_exponential((draws, problems))
    if imagined:
        weights = np.hstack([weights, random.standard_gamma(1 / (samples * imagined), (draws, imagined))])
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float64)


def _tail(problems: int, confidence: float) -> float:
    """Return the share of draws beyond each limit.

    Among the draws the variance of the mean of n problems is their sum of squares over n² + n; a t interval has it
    over n² - n.
    """
    wider = sqrt((problems + 1) / (problems - 1))
    return NormalDist().cdf(-wider * t_quantile(problems - 1, confidence))
