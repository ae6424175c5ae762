"""Efficiency of one model in one number. Each hides something, so accuracy and tokens stand beside it.

area               accuracy within a token budget, averaged over all budgets from 0 to the longest: the area under
                   that curve over its width (Aggarwal et al. 2025, OptimalThinkingBench, AUC_OAA). Exactly, not by
                   trapezes: a correct answer of L tokens is within a share max(0, 1 - L / longest) of the budgets.
tokens per right   mean tokens / accuracy: what a right answer costs, the wrong ones included
"""

from collections.abc import Sequence

import numpy as np

from effreason.artifacts import Interval
from effreason.evaluation.by_problem import ByProblem
from effreason.evaluation.completions import Judged
from effreason.evaluation.intervals import Column
from effreason.evaluation.resampling import Sample, Weighed, resampled
from effreason.specs import Protocol


def longest_budget(protocol: Protocol) -> int:
    """Return the token budget at which the area ends: the largest that is reported, else the token limit."""
    return max(protocol.budgets, default=protocol.max_tokens)


def budget_area(completions: Judged, longest: int) -> Interval | None:
    """Estimate the accuracy within a token budget, averaged over budgets; None with fewer than two judged problems."""
    problems = ByProblem(completions)
    areas = areas_of(problems, longest, judged_problems(problems))
    return resampled(Sample({}, {"area": areas}, {}, samples_of(problems)), lambda of: of.mean(of["area"]))


def tokens_per_right(completions: Judged) -> Interval | None:
    """Estimate the tokens per correct answer; None with fewer than two judged problems, or where nothing is correct."""
    problems = ByProblem(completions)
    ids = judged_problems(problems)
    sample = Sample({"tokens": spent(problems, ids)}, {"right": solve_rates(problems, ids)}, {}, samples_of(problems))
    return resampled(sample, _price)


def judged_problems(problems: ByProblem) -> list[str]:
    """Return the problems of which at least one completion was judged."""
    return [*np.asarray(problems.ids)[problems.count(problems.completions.judged) > 0]]


def samples_of(problems: ByProblem) -> float:
    """Return the mean number of completions per problem."""
    return max(len(problems.completions) / max(len(problems.ids), 1), 1.0)


def solve_rates(problems: ByProblem, ids: Sequence[str]) -> Column:
    """Return the share of correct ones among the judged completions of each problem."""
    return problems.mean(problems.completions.right, problems.completions.judged, ids)


def spent(problems: ByProblem, ids: Sequence[str]) -> Column:
    """Return the mean tokens of the judged completions of each problem."""
    return problems.mean(problems.completions.tokens, problems.completions.judged, ids)


def areas_of(problems: ByProblem, longest: int, ids: Sequence[str]) -> Column:
    """Return the area of each problem by itself."""
    completions = problems.completions
    shares = completions.right * np.maximum(0.0, 1 - completions.tokens / longest)
    return problems.mean(shares, completions.judged, ids)


def _price(of: Weighed) -> Column:
    return of.mean(of["tokens"]) / of.mean(of["right"])
