"""alpha by step: constant, warmed up, or found during the training under a limit on the loss of accuracy.

The last is dual ascent on the Lagrangian of "as few tokens as possible, with at most so much accuracy lost": alpha is
the price of a token, raised while the constraint has slack and lowered while it is violated. A policy answers to alpha
with a delay of many steps, under which plain dual ascent swings through the limit. So this one aims at half of the
limit; and where the whole is surely broken it takes alpha back to 0, from where alpha rises at the usual pace up to
half of what broke it and slowly above, as TCP's window does (Jacobson 1988). Its estimates come from the batches that
are trained on, so that no problem has to be held out; and it is a function of their accuracies alone, so that a
training which was interrupted goes on with the same alpha.
"""

from collections.abc import Sequence
from math import sqrt
from statistics import fmean

from effreason.choices import AccuracyConstrained, ConstantAlpha, LinearWarmup, Schedule

WARY = 1 / 8
"""The factor on the usual pace where alpha comes close to the value that broke the limit before."""


def alpha_at(schedule: Schedule, alpha: float, accuracies: Sequence[float]) -> float:
    """Return alpha for the step after those whose batches had these `accuracies`; `alpha` is the cell's own."""
    match schedule:
        case ConstantAlpha():
            return alpha
        case LinearWarmup():
            return alpha * min(1.0, len(accuracies) / schedule.steps)
        case AccuracyConstrained():
            return _constrained(schedule, alpha, accuracies)


def _constrained(schedule: AccuracyConstrained, ceiling: float, accuracies: Sequence[float]) -> float:
    alpha, wary_above, to_hold, aimed_at = 0.0, ceiling, 0.0, schedule.max_accuracy_loss / 2
    lately, long = _Average(schedule.memory), _Average(schedule.long_memory)
    for step, accuracy in enumerate(accuracies, start=1):
        lately.add(accuracy)
        long.add(accuracy)
        if step < schedule.free_steps:
            continue
        to_hold = max(to_hold, long.mean - long.standard_error)
        if lately.mean + lately.standard_error < to_hold - schedule.max_accuracy_loss:
            alpha, wary_above = 0.0, alpha / 2 if alpha > 0 else wary_above
            continue
        slack = min(1.0, 1 - (to_hold - lately.mean) / aimed_at)  # 1 where nothing is lost, 0 at half of the limit
        pace = WARY if slack > 0 and alpha >= wary_above else 1.0
        alpha = min(ceiling, max(0.0, alpha + pace * schedule.rate * ceiling * slack))
    return alpha


class _Average:
    """A running mean that forgets, with its standard error.

    The accuracy to hold is the best mean less its standard error: the best of many means is a lucky one, and its luck
    would be held against every later step.
    """

    def __init__(self, memory: float) -> None:
        self._memory = memory
        self._total = self._weight = self._squared_weight = 0.0
        self._squared_changes: list[float] = []
        self._latest: float | None = None

    def add(self, accuracy: float) -> None:
        self._total = self._memory * self._total + accuracy
        self._weight = self._memory * self._weight + 1
        self._squared_weight = self._memory**2 * self._squared_weight + 1
        if self._latest is not None:
            self._squared_changes.append((accuracy - self._latest) ** 2)
        self._latest = accuracy

    @property
    def mean(self) -> float:
        return self._total / self._weight

    @property
    def standard_error(self) -> float:
        """The error by the changes between batches (von Neumann's estimate), which a slow drift does not widen."""
        variance = fmean(self._squared_changes) / 2 if self._squared_changes else 0.0
        return sqrt(variance * self._squared_weight) / self._weight
