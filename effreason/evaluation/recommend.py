"""Which alpha to take: the one that saves the most tokens among those that are shown to keep the accuracy.

Chosen on the validation part; what the chosen one saves is then read off the suites, where nothing was chosen.

Of several alphas one may seem to keep the accuracy by luck alone, so their limits hold at once: with the stated
confidence not one of all alphas tried loses more than its limit says, whichever is then taken and why. Every limit gets
its share of the error (Bonferroni). The joint normal quantile of Dunnett (1955) would be a little narrower, since all
alphas share one base model; but it trusts the far tails of approximate limits, and let an alpha that loses too much
pass 5.8% of the time in simulations where Bonferroni's share lets it pass 4.4%.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from effreason.artifacts import Interval
from effreason.evaluation.completions import Judged
from effreason.evaluation.intervals import CONFIDENCE
from effreason.evaluation.measures import Change, pooled_change
from effreason.figures import percent
from effreason.specs import Selection


class Recommendation(NamedTuple):
    """The recommended alpha for one model. Made here; read by the report."""

    alpha: float | None
    """The value; None where no alpha qualifies."""
    reason: str
    """A sentence with the figures."""


class _Candidate(NamedTuple):
    alpha: float
    accuracy: Interval
    token_reduction: Interval


def validation_changes(
    before: Judged, after: Mapping[float, Sequence[Judged]], selection: Selection
) -> dict[float, Change]:
    """Return the changes of one model by alpha, with limits that hold for all alphas at once; `recommend` chooses from
    them.

    Args:
        before: the base model on the validation part.
        after: the policies of each alpha, one per seed, on the same part; only numbers are read, so
            `Judged.without_texts` will do.
        selection: its one-sided confidence is that of all accuracies together.
    """
    tried = max(sum(alpha > 0 for alpha in after), 1)
    accuracy, tokens = 1 - 2 * (1 - selection.confidence) / tried, 1 - (1 - CONFIDENCE) / tried
    return {alpha: pooled_change(before, judged, accuracy, tokens) for alpha, judged in sorted(after.items())}


def recommend(changes: Mapping[float, Change], selection: Selection) -> Recommendation:
    """Choose among the changes of one model by alpha, measured on the validation part.

    They are those of `validation_changes`; an empty mapping means that there is no validation part. alpha 0 is the
    control: what it saves is not due to the penalty, so it is never recommended.
    """
    if not changes:
        return Recommendation(
            None, "No alpha is recommended: there is no validation part to choose on; set data.validation_problems."
        )
    if all(alpha == 0 for alpha in changes):
        return Recommendation(None, "No alpha is recommended: alpha 0 has no length penalty, and there is no other.")
    candidates = [
        _Candidate(alpha, change.accuracy, change.token_reduction)
        for alpha, change in changes.items()
        if alpha > 0 and change.accuracy and change.token_reduction
    ]
    if not candidates:
        return Recommendation(
            None, "No alpha is recommended: the validation part is too small to tell; raise data.validation_problems."
        )
    return _chosen(candidates, selection)


def _chosen(candidates: Sequence[_Candidate], selection: Selection) -> Recommendation:
    kept = [each for each in candidates if _keeps(each, selection)]
    if not kept:
        return Recommendation(None, _why_none(candidates, selection))
    best = max(kept, key=lambda each: each.token_reduction.centre)
    return Recommendation(
        best.alpha,
        f"On the validation part, {_figures(best, selection, len(candidates))}; no other alpha saves more within the "
        f"limit of {_points(selection.max_accuracy_loss)}.",
    )


def _keeps(each: _Candidate, selection: Selection) -> bool:
    return each.token_reduction.low > 0 and each.accuracy.low >= -selection.max_accuracy_loss


def _why_none(candidates: Sequence[_Candidate], selection: Selection) -> str:
    saving = [each for each in candidates if each.token_reduction.low > 0]
    if not saving:
        most = max(candidates, key=lambda each: each.token_reduction.centre)
        return (
            "No alpha is shown to save tokens on the validation part. "
            f"The most: {_figures(most, selection, len(candidates))}."
        )
    closest = max(saving, key=lambda each: each.accuracy.low)
    return (
        f"No alpha is shown to lose less than {_points(selection.max_accuracy_loss)} of accuracy on the validation "
        f"part. Closest: {_figures(closest, selection, len(candidates))}; more validation problems would narrow the "
        f"limits."
    )


def _figures(each: _Candidate, selection: Selection, tried: int) -> str:
    worst = each.accuracy.low
    accuracy = f"loses at most {_points(-worst)}" if worst < 0 else f"gains at least {_points(worst)}"
    jointly = f", jointly over the {tried} alphas" if tried > 1 else ""
    return (
        f"alpha {each.alpha:g} saves {percent(each.token_reduction)} of the tokens and {accuracy} of accuracy "
        f"({100 * selection.confidence:g}%{jointly})"
    )


def _points(fraction: float) -> str:
    return f"{100 * fraction:.1f} points"
