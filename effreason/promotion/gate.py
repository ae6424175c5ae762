"""Whether a candidate becomes the champion: no worse in accuracy, and shorter.

On every suite of the gate, paired by problem:

    accuracy   non-inferior to the champion, and to the base model: the lower limit of the change is above -margin
    tokens     fewer than the champion's: the upper limit of the ratio of mean tokens is below 1

Every limit is one-sided at the gate's confidence. All conditions have to hold, so a candidate that ought not to pass
does not do so more often than by the weakest of them, however many there are (an intersection-union test, Berger
1982); nothing is shared out among them. A point estimate below 1 would not do for tokens: of two equal policies every
second night would promote one. The base model is the fixed point of the second margin: without it, a chain of champions
could lose a little each night within the first.

Too few problems are a reason to refuse: fewer than the intervals were tried on (`evaluation.intervals`), or so few that
none of them might belong to a share as large as the margin that the candidate has unlearned.
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
"""That the intervals were tried on."""

Suites = Mapping[str, Judged]
"""The judged completions of one model by suite."""


class Models(NamedTuple):
    """What the gate compares."""

    candidate: Suites
    champion: Suites
    base: Suites


def checks(spec: GateSpec, models: Models) -> Iterator[Check]:
    """Every condition, suite by suite; against the base model only where it is not the champion itself."""
    of_base = spec.champion == spec.base
    margin = min(spec.gate.max_accuracy_loss, spec.gate.max_total_loss) if of_base else spec.gate.max_accuracy_loss
    for suite in spec.suites:
        yield check(spec, suite, models.candidate[suite], models.champion[suite], "champion", margin)
        if not of_base:
            yield check(spec, suite, models.candidate[suite], models.base[suite], "base", spec.gate.max_total_loss)


def check(
    spec: GateSpec, suite: str, candidate: Judged, other: Judged, against: Literal["champion", "base"], margin: float
) -> Check:
    """Compare the candidate with one other model on one suite; only with the champion in tokens as well."""
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
    """So many that the chance to meet none of a share `margin` of all problems is at most 1 - confidence."""
    return max(FEWEST_PROBLEMS, ceil(log(1 - confidence) / log1p(-margin)))


def verdict(spec: GateSpec, found: Sequence[Check]) -> str:
    """The sentence of the decision."""
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
    assert told.accuracy and told.token_ratio  # noqa: S101  it would have been refused
    kept = (
        f"on {told.suite} ({told.problems} problems) it loses at most {100 * told.max_accuracy_loss:.1f} points of "
        f"accuracy against {_NAMES[told.against]} ({points(told.accuracy)} points)"
    )
    return f"{kept} and uses {percent(told.token_ratio)} of its tokens" if told.against == "champion" else kept


_NAMES = {"champion": "the champion", "base": "the base model"}
