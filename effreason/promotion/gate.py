"""The gate: whether a candidate becomes the champion, being no less accurate and using fewer tokens.

On every suite of the gate, paired by problem:

    accuracy   non-inferior to the champion, and to the base model: the lower limit of the change is above -margin
    tokens     fewer than the champion's: the upper limit of the ratio of mean tokens is below 1

Every limit is one-sided at the gate's confidence. All conditions have to hold, so the error rate is at most that of a
single condition, however many there are (an intersection-union test, Berger 1982), and the confidence is not split
between them. For tokens, a point estimate below 1 would not be enough: with two equal policies, every second night
would promote one. The second margin is relative to the base model, which never changes: otherwise each champion in a
chain could lose a little within the first margin.

Too few problems are a reason to refuse: fewer than the intervals were tested with (`evaluation.intervals`), or so few
that, if the candidate had unlearned a share of all problems as large as the margin, none might be in the sample.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import ceil, log, log1p
from typing import Literal, NamedTuple

from effreason.artifacts import Check, Interval
from effreason.evaluation.by_problem import ByProblem
from effreason.evaluation.completions import Judged
from effreason.evaluation.measures import pooled_change
from effreason.evaluation.scores import judged_problems
from effreason.figures import percent, points
from effreason.specs import GateSpec

FEWEST_PROBLEMS = 30
"""The smallest number of problems with which the intervals were tested."""

Suites = Mapping[str, Judged]
"""The judged completions of one model by suite."""


class Models(NamedTuple):
    """The evaluations that the gate compares."""

    candidate: Suites
    champion: Suites
    base: Suites


def checks(spec: GateSpec, models: Models) -> Iterator[Check]:
    """Yield every check, suite by suite; with the base model only if it is not itself the champion."""
    of_base = spec.champion == spec.base
    margin = min(spec.gate.max_accuracy_loss, spec.gate.max_total_loss) if of_base else spec.gate.max_accuracy_loss
    for suite in spec.suites:
        yield check(spec, suite, models.candidate[suite], models.champion[suite], "champion", margin)
        if not of_base:
            yield check(spec, suite, models.candidate[suite], models.base[suite], "base", spec.gate.max_total_loss)


def check(
    spec: GateSpec, suite: str, candidate: Judged, other: Judged, against: Literal["champion", "base"], margin: float
) -> Check:
    """Compare the candidate with one other model on one suite: in accuracy, and with the champion in tokens as well."""
    two_sided = 2 * spec.gate.confidence - 1
    change = pooled_change(other, [candidate], two_sided, two_sided)
    told = Check(
        against=against,
        suite=suite,
        problems=len(set(judged_problems(ByProblem(candidate))) & set(judged_problems(ByProblem(other)))),
        max_accuracy_loss=margin,
        accuracy=change.accuracy,
        token_ratio=_ratio(change.token_reduction),
        refusal=None,
    )
    return told.model_copy(update={"refusal": _refusal(told, spec.gate.confidence)})


def fewest_problems(margin: float, confidence: float) -> int:
    """Return how many problems must be drawn so that, if a share `margin` of all problems has some property, the
    probability to draw none of them is at most 1 - confidence.
    """
    return max(FEWEST_PROBLEMS, ceil(log(1 - confidence) / log1p(-margin)))


def verdict(spec: GateSpec, found: Sequence[Check]) -> str:
    """Return the sentence that states the decision."""
    level = f"at {100 * spec.gate.confidence:g}%, one-sided"
    if refusals := [f"on {each.suite} it {each.refusal}" for each in found if each.refusal]:
        return f"The candidate is refused ({level}): {'; '.join(refusals)}."
    return f"The candidate passes ({level}): {'; '.join(_merit(each) for each in found)}."


def _ratio(reduction: Interval | None) -> Interval | None:
    return Interval(*(1 - limit for limit in reversed(reduction))) if reduction else None


def _refusal(told: Check, confidence: float) -> str | None:
    other = _NAMES[told.against]
    if told.problems < FEWEST_PROBLEMS or told.accuracy is None or told.token_ratio is None:
        return _too_little(told, FEWEST_PROBLEMS)
    if told.accuracy.low < -told.max_accuracy_loss:
        surely = "loses" if told.accuracy.high < -told.max_accuracy_loss else "may lose"
        return (
            f"{surely} more than {100 * told.max_accuracy_loss:.1f} points of accuracy against {other} "
            f"({points(told.accuracy)} points)"
        )
    if told.accuracy.low < 0 and told.problems < (fewest := fewest_problems(told.max_accuracy_loss, confidence)):
        return _too_little(told, fewest)
    if told.against == "champion" and told.token_ratio.high >= 1:
        return f"is not shown to use fewer tokens than {other} ({percent(told.token_ratio)} of them)"
    return None


def _too_little(told: Check, fewest: int) -> str:
    return f"has too few problems for a comparison with {_NAMES[told.against]}: {told.problems} of the {fewest} needed"


def _merit(told: Check) -> str:
    assert told.accuracy and told.token_ratio  # noqa: S101  otherwise it would have been refused
    kept = (
        f"on {told.suite} ({told.problems} problems) it loses at most {100 * told.max_accuracy_loss:.1f} points of "
        f"accuracy against {_NAMES[told.against]} ({points(told.accuracy)} points)"
    )
    return f"{kept} and uses {percent(told.token_ratio)} of its tokens" if told.against == "champion" else kept


_NAMES = {"champion": "the champion", "base": "the base model"}
