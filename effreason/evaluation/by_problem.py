"""The columns of one suite taken apart by problem."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import chain, compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effreason.evaluation.completions import Judged
from effreason.evaluation.intervals import Column, PerProblem

Mask = NDArray[np.bool_]
"""One flag per completion."""
_COLUMNS = tuple(field.name for field in fields(Judged))


def common(models: Sequence["ByProblem"]) -> list[str]:
    """Return the problems that every one of `models` was measured on, sorted."""
    return sorted(set.intersection(*(set(model.ids) for model in models)))


def pooled(models: Sequence[Judged]) -> Judged:
    """Return the completions of several training runs (seeds) of one kind, as if one model had written them."""
    return models[0] if len(models) == 1 else Judged(**{name: _joined(models, name) for name in _COLUMNS})


def _joined(models: Sequence[Judged], name: str) -> Any:
    columns = [getattr(model, name) for model in models]
    return np.concatenate(columns) if isinstance(columns[0], np.ndarray) else [*chain.from_iterable(columns)]


def chosen(completions: Judged, among: Mask) -> Judged:
    """Return the completions `among`, in their order."""
    return Judged(**{name: _picked(getattr(completions, name), among) for name in _COLUMNS})


def _picked(column: Any, among: Mask) -> Any:
    return column[among] if isinstance(column, np.ndarray) else [*compress(column, among)]


@dataclass(frozen=True)
class ByProblem:
    """One suite's completions grouped by problem. Made and read within this package."""

    completions: Judged

    @cached_property
    def _grouped(self) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
        ids, places = np.unique(self.completions.problem_ids, return_inverse=True)
        return ids, places.astype(np.int64)

    @cached_property
    def ids(self) -> list[str]:
        """The ids of the problems, sorted."""
        return [str(problem) for problem in self._grouped[0]]

    @property
    def everything(self) -> Mask:
        return np.ones(len(self.completions), dtype=bool)

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        return np.argsort(self._grouped[1], kind="stable")

    def count(self, among: Mask) -> NDArray[np.int64]:
        """Return how many of the completions `among` each problem of `ids` has."""
        return np.bincount(self._grouped[1][among], minlength=len(self._grouped[0]))

    def mean(self, values: NDArray[np.generic], among: Mask, problems: Sequence[str]) -> Column:
        """Return the mean over the completions `among`, for each of `problems` in order; NaN where it has none."""
        counts = self.count(among)
        totals = np.bincount(self._grouped[1][among], values[among].astype(np.float64), minlength=len(counts))
        with np.errstate(invalid="ignore"):
            return np.asarray((totals / counts)[self.places(problems)], dtype=np.float64)

    def mean_tokens(self, problems: Sequence[str]) -> Column:
        """Return the mean tokens over all completions of each of these problems, in this order."""
        return self.mean(self.completions.tokens, self.everything, problems)

    def places(self, problems: Sequence[str]) -> NDArray[np.int64]:
        """Return the index of each of `problems` in `ids`."""
        return np.searchsorted(self._grouped[0], np.asarray(problems, dtype=self._grouped[0].dtype)).astype(np.int64)

    def split(self, values: NDArray[np.generic], among: Mask) -> list[NDArray[np.generic]]:
        """Return the values of the completions `among`, one array per problem; empty where a problem has none."""
        chosen = self._order[among[self._order]]
        return np.split(values[chosen], np.cumsum(self.count(among))[:-1])

    def halves(self) -> tuple[Mask, Mask]:
        """Return masks of the first, third, fifth … completion of each problem, and of the others."""
        counts = self.count(self.everything)
        within = np.empty(len(self.completions), dtype=np.int64)
        within[self._order] = np.arange(len(within)) - np.repeat(np.cumsum(counts) - counts, counts)
        return within % 2 == 0, within % 2 == 1

    def rights(self, problems: Sequence[str]) -> PerProblem:
        """Return whether each judged completion of these problems is correct, problems in this order."""
        return self._of(problems, self.completions.right, self.completions.judged)

    def tokens(self, problems: Sequence[str]) -> PerProblem:
        """Return the tokens of every completion of these problems, in this order."""
        return self._of(problems, self.completions.tokens, self.everything)

    def _of(self, problems: Sequence[str], values: NDArray[np.generic], among: Mask) -> PerProblem:
        arrays = self.split(values, among)
        return [arrays[place] for place in self.places(problems)]
