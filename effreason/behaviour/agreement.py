"""How far two judges agree on which completions show a behaviour: Cohen's kappa (Cohen 1960) with its interval.

The interval is a Bayesian bootstrap over problems (Rubin 1981). One imagined completion, spread evenly over the four
ways in which two judges may say yes and no, keeps it from having zero width where all agree.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from effreason.artifacts import Interval
from effreason.evaluation.intervals import CONFIDENCE

DRAWS = 4000
IMAGINED = 0.25
"""Completions added to each of the four cells when the interval is computed."""

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Agreement:
    """The agreement of two judges on one behaviour. Made by `agreement`; read by `effreason judge`."""

    completions: int
    first: int
    """Completions that show it, according to the first judge."""
    second: int
    both: int
    kappa: Interval | None
    """Cohen's kappa; None with fewer than two problems, or where both give one and the same answer throughout."""


def agreement(first: ArrayLike, second: ArrayLike, problems: Sequence[str]) -> Agreement:
    """Compare two judges on the same completions; `problems` are the ids that the completions belong to."""
    one, two = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    return Agreement(len(one), int(one.sum()), int(two.sum()), int((one & two).sum()), _kappa(one, two, problems))


def _kappa(one: Flags, two: Flags, problems: Sequence[str]) -> Interval | None:
    ids, places = np.unique(np.asarray(problems, dtype=str), return_inverse=True)
    cells = np.zeros((len(ids), 4))
    np.add.at(cells, (places, 2 * one + two), 1)
    if len(ids) < 2 or not np.isfinite(centre := float(_of_cells(cells.sum(axis=0)))):
        return None
    random = np.random.default_rng(0)
    drawn = random.standard_exponential((DRAWS, len(ids))) @ cells + random.standard_gamma(IMAGINED, (DRAWS, 4))
    low, high = np.quantile(_of_cells(drawn), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(min(float(low), centre), centre, max(float(high), centre))


def _of_cells(cells: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return kappa from the counts of completions that neither, only the second, only the first, and both judges say
    show the behaviour (last axis)."""
    neither, second, first, both = np.moveaxis(cells / cells.sum(axis=-1, keepdims=True), -1, 0)
    one, two = first + both, second + both
    chance = one * two + (1 - one) * (1 - two)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((neither + both - chance) / (1 - chance), dtype=np.float64)
