"""Accuracy against a token budget, from the stored completions: what is answered correctly within so many tokens.

accuracy_within   of each budget, with intervals
cut_short         the model cut off at one limit after the other: what it spends, and its accuracy
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from effreason.artifacts import Interval
from effreason.evaluation.completions import Judged
from effreason.evaluation.intervals import proportion_of_rates

POINTS = 60
"""Of a curve: at the width of a panel the eye tells no more apart."""


class Spending(NamedTuple):
    """Made by `cut_short`; drawn beside the frontier."""

    tokens: float
    """Mean tokens of a completion when all are cut at one limit."""
    accuracy: float


def budgets_up_to(longest: int) -> list[int]:
    """Evenly from 0, at most `POINTS` of them after it; the last is `longest`."""
    return sorted({round(longest * share / POINTS) for share in range(POINTS + 1)})


def accuracy_within(judged: Judged, budgets: Sequence[int]) -> list[Interval | None]:
    """The chance that a completion is correct and no longer than the budget, for each of `budgets`."""
    problems, sizes = _problems(judged)
    draws = float(sizes.mean()) if len(sizes) else 0.0
    rates = (_per_problem(judged, problems, judged.right & (judged.tokens <= budget), sizes) for budget in budgets)
    return [proportion_of_rates(each, draws) for each in rates]


def cut_short(judged: Judged, budgets: Sequence[int]) -> list[Spending]:
    """What the model does under each of `budgets` as a limit. Problems weigh the same; empty where none was judged."""
    problems, sizes = _problems(judged)
    if not len(sizes):
        return []
    return [
        Spending(
            tokens=float(np.minimum(judged.tokens, budget).mean()),
            accuracy=float(_per_problem(judged, problems, judged.right & (judged.tokens <= budget), sizes).mean()),
        )
        for budget in budgets
    ]


def _problems(judged: Judged) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The place of each judged completion's problem, and how many judged completions each problem has."""
    _, places = np.unique(judged.problem_ids[judged.judged], return_inverse=True)
    return places, np.bincount(places)


def _per_problem(
    judged: Judged, places: NDArray[np.intp], within: NDArray[np.bool_], sizes: NDArray[np.intp]
) -> NDArray[np.float64]:
    counts = np.bincount(places, weights=within[judged.judged], minlength=len(sizes))
    return np.asarray(counts / sizes, dtype=np.float64)
