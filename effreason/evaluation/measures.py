"""What a model's completions say of it on one suite, and what changed between two models.

A completion that the grader could not judge is in no rate; its tokens were spent all the same, so they count among the
tokens of all completions, though neither among those of the right nor of the wrong ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from effreason.artifacts import Interval, Measures
from effreason.evaluation.completions import Judged
from effreason.evaluation.intervals import CONFIDENCE, PerProblem, difference, mean, proportion, reduction
from effreason.evaluation.pass_at import pass_at
from effreason.specs import Protocol


class Change(NamedTuple):
    """From one model to another on the same problems. Made here; read by `recommend` and the report."""

    accuracy: Interval | None
    """After less before, as a fraction."""
    token_reduction: Interval | None
    """1 - mean tokens after / mean tokens before."""


def measure(completions: Judged, protocol: Protocol) -> Measures:
    """Sum up one suite."""
    problems = _ByProblem(completions)
    right, judged, tokens = completions.right, completions.judged, completions.tokens
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
    )


def change(before: Judged, after: Judged, confidence: float = CONFIDENCE) -> Change:
    """Compare two models on the problems that both were measured on.

    `confidence` is that of the accuracy; the token reduction is always at 95%.
    """
    return pooled_change(before, [after], confidence)


def pooled_change(before: Judged, after: Sequence[Judged], confidence: float = CONFIDENCE) -> Change:
    """As `change`, with several trainings (seeds) of one kind, whose completions of a problem count as one model's.

    The intervals then speak of other problems, not of other seeds.
    """
    old, new = _ByProblem(before), _ByProblem(_pooled(after))
    common = sorted(set(old.ids) & set(new.ids))
    return Change(
        accuracy=difference(old.rights(common), new.rights(common), confidence),
        token_reduction=reduction(old.tokens(common), new.tokens(common)),
    )


def _pooled(models: Sequence[Judged]) -> Judged:
    return Judged(
        problem_ids=np.concatenate([model.problem_ids for model in models]),
        texts=[text for model in models for text in model.texts],
        tokens=np.concatenate([model.tokens for model in models]),
        truncated=np.concatenate([model.truncated for model in models]),
        right=np.concatenate([model.right for model in models]),
        judged=np.concatenate([model.judged for model in models]),
        extracted=[answer for model in models for answer in model.extracted],
    )


@dataclass(frozen=True)
class _ByProblem:
    """Takes the columns of one suite apart by problem."""

    completions: Judged

    @cached_property
    def _grouped(self) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
        ids, places = np.unique(self.completions.problem_ids, return_inverse=True)
        return ids, places.astype(np.int64)

    @property
    def ids(self) -> list[str]:
        """Sorted."""
        return [str(problem) for problem in self._grouped[0]]

    @property
    def everything(self) -> NDArray[np.bool_]:
        return np.ones(len(self.completions), dtype=bool)

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        return np.argsort(self._grouped[1], kind="stable")

    def count(self, among: NDArray[np.bool_]) -> NDArray[np.int64]:
        """How many of the completions `among`, for each problem."""
        return np.bincount(self._grouped[1][among], minlength=len(self._grouped[0]))

    def split(self, values: NDArray[np.generic], among: NDArray[np.bool_]) -> list[NDArray[np.generic]]:
        """The values of the completions `among`, one array a problem; empty where a problem has none."""
        chosen = self._order[among[self._order]]
        return np.split(values[chosen], np.cumsum(self.count(among))[:-1])

    def rights(self, problems: Sequence[str]) -> PerProblem:
        """Right or not, of every judged completion of these problems in this order."""
        return self._of(problems, self.completions.right, self.completions.judged)

    def tokens(self, problems: Sequence[str]) -> PerProblem:
        """The tokens of every completion of these problems in this order."""
        return self._of(problems, self.completions.tokens, self.everything)

    def _of(self, problems: Sequence[str], values: NDArray[np.generic], among: NDArray[np.bool_]) -> PerProblem:
        arrays = dict(zip(self.ids, self.split(values, among), strict=True))
        return [arrays[problem] for problem in problems]
