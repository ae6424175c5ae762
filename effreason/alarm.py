"""The alarm for reward hacking: the reward goes up while the accuracy goes down.

A length penalty is paid in accuracy when a policy finds that short wrong answers cost less than long right ones bring.
The rule compares two windows of steps side by side: the newest and the one before it. It speaks when the reward has
risen and the accuracy has fallen, each by more than `THRESHOLD_STANDARD_ERRORS` of the difference of the two means,
so that the noise of small batches stays silent. While alpha changes, rewards are not comparable and the rule is silent.
"""

from collections.abc import Mapping, Sequence
from math import sqrt
from statistics import fmean, variance
from typing import NamedTuple

WINDOW = 10
"""Training steps on each side of the comparison."""

THRESHOLD_STANDARD_ERRORS = 2.0
"""Standard errors that count as a move. Chance alone moves both this far, in opposite directions, about once in
2,000 comparisons."""


class Alarm(NamedTuple):
    """A warning about a training run. Made by `alarm`; read by the log, the Prefect UI and the report."""

    step: int
    """The first step at which it sounds."""
    sentence: str


def alarm(steps: Sequence[Mapping[str, float | None]], window: int = WINDOW) -> Alarm | None:
    """Return the first alarm in the lines of a training run's metrics.jsonl; None if there is none.

    It reads `step`, `alpha`, `reward` and `accuracy` of each line.
    """
    for end in range(2 * window, len(steps) + 1):
        before, after = steps[end - 2 * window : end - window], steps[end - window : end]
        if len({step["alpha"] for step in (*before, *after)}) > 1:
            continue
        if (
            _moved(before, after, "reward") > THRESHOLD_STANDARD_ERRORS
            and _moved(before, after, "accuracy") < -THRESHOLD_STANDARD_ERRORS
        ):
            return Alarm(int(after[-1]["step"] or 0), _sentence(before, after))
    return None


def _moved(
    before: Sequence[Mapping[str, float | None]], after: Sequence[Mapping[str, float | None]], name: str
) -> float:
    """Return the change of the mean in standard errors; 0 where neither window varies and they are equal."""
    old, new = _values(before, name), _values(after, name)
    error = sqrt(variance(old) / len(old) + variance(new) / len(new))
    difference = fmean(new) - fmean(old)
    if error == 0:
        return 0.0 if difference == 0 else difference * float("inf")
    return difference / error


def _values(steps: Sequence[Mapping[str, float | None]], name: str) -> list[float]:
    return [float(step[name] or 0.0) for step in steps]


def _sentence(before: Sequence[Mapping[str, float | None]], after: Sequence[Mapping[str, float | None]]) -> str:
    first, last = int(before[0]["step"] or 0), int(after[-1]["step"] or 0)
    reward = [fmean(_values(part, "reward")) for part in (before, after)]
    accuracy = [100 * fmean(_values(part, "accuracy")) for part in (before, after)]
    return (
        f"Reward hacking: between steps {first} and {last} the reward rose from {reward[0]:.3f} to {reward[1]:.3f} "
        f"while the accuracy fell from {accuracy[0]:.1f}% to {accuracy[1]:.1f}%; lower alpha, or stop training "
        f"before step {first + len(before)}."
    )
