"""What a model's completions say of it on one suite, and what changed between two models.

A completion that the grader could not judge is in no rate; its tokens were spent all the same, so they count among the
tokens of all completions, though neither among those of the right nor of the wrong ones.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from effreason.artifacts import Interval, Measures
from effreason.evaluation.by_problem import ByProblem, common, pooled
from effreason.evaluation.completions import Judged
from effreason.evaluation.intervals import CONFIDENCE, difference, mean, proportion, reduction
from effreason.evaluation.majority import majority_at
from effreason.evaluation.pass_at import pass_at
from effreason.evaluation.scores import budget_area, longest_budget, tokens_per_right
from effreason.specs import Protocol


class Change(NamedTuple):
    """The change from one model to another on the same problems. Made here; read by `recommend` and the report."""

    accuracy: Interval | None
    """Accuracy after less accuracy before, as a fraction."""
    token_reduction: Interval | None
    """1 - mean tokens after / mean tokens before."""


def measure(completions: Judged, protocol: Protocol) -> Measures:
    """Sum up one suite."""
    problems = ByProblem(completions)
    right, judged, tokens = completions.right, completions.judged, completions.tokens
    thinking = _thinking(completions)
    return Measures(
        problems=len(problems.ids),
        samples=protocol.samples,
        unjudged=int((~judged).sum()),
        accuracy=proportion(problems.split(right, judged)),
        tokens=mean(problems.split(tokens, problems.everything)),
        median_tokens=float(np.median(tokens)) if len(tokens) else None,
        tokens_right=mean(problems.split(tokens, right)),
        tokens_wrong=mean(problems.split(tokens, judged & ~right)),
        truncated=proportion(problems.split(completions.truncated, judged)),
        pass_at={str(k): pass_at(k, problems.count(judged), problems.count(right)) for k in protocol.pass_at},
        budgets={
            str(budget): proportion(problems.split(right & (tokens <= budget), judged)) for budget in protocol.budgets
        },
        majority_at={str(k): majority_at(k, completions) for k in protocol.pass_at},
        budget_area=budget_area(completions, longest_budget(protocol)),
        tokens_per_right=tokens_per_right(completions),
        thinking_tokens=_mean_if_any(problems, thinking),
        answer_tokens=_mean_if_any(problems, tokens - thinking),
    )


def _thinking(completions: Judged) -> NDArray[np.float64]:
    """Return each completion's thinking tokens: 0 for one without a mark, NaN throughout if none has any."""
    marked = ~np.isnan(completions.tokens_thinking)
    return np.where(marked, completions.tokens_thinking, 0.0 if marked.any() else np.nan)


def _mean_if_any(problems: ByProblem, values: NDArray[np.float64]) -> Interval | None:
    return None if np.isnan(values).any() else mean(problems.split(values, problems.everything))


def change(before: Judged, after: Judged, confidence: float = CONFIDENCE) -> Change:
    """Compare two models on the problems that both were measured on.

    `confidence` is that of the accuracy; the token reduction is always at 95%.
    """
    return pooled_change(before, [after], confidence)


def pooled_change(
    before: Judged, after: Sequence[Judged], confidence: float = CONFIDENCE, token_confidence: float = CONFIDENCE
) -> Change:
    """Compare as `change` does, with several training runs (seeds) of one kind, whose completions of a problem count as
    one model's.

    The intervals then account for other problems, not for other seeds.
    """
    old, new = ByProblem(before), ByProblem(pooled(after))
    problems = common([old, new])
    return Change(
        accuracy=difference(old.rights(problems), new.rights(problems), confidence),
        token_reduction=reduction(old.tokens(problems), new.tokens(problems), token_confidence),
    )
