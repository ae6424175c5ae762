"""maj@k: the chance that the answer most frequent among k samples is correct (self-consistency, Wang et al. 2022).

As pass@k it is the mean over every subset of k of the n samples, exactly, not one subset drawn. Of several answers that
are equally frequent one is taken at random, so a tie of t answers with the right one among them counts 1 / t. A sample
without an answer casts no vote, and where none has one the vote is lost; one that could not be judged is left out, as
of every rate.

Answers that are equal count as one: all that were judged right, since each equals the gold answer; and of the others
those that the grader's plain spelling makes the same number, or the same words. Formulas that only algebra would show
to be equal stay apart; that can only split the votes of wrong answers.
"""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from math import comb
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from effreason.artifacts import Interval
from effreason.evaluation.by_problem import ByProblem
from effreason.evaluation.completions import Judged
from effreason.evaluation.intervals import proportion_of_rates
from effreason.grading.numbers import number
from effreason.grading.spelling import bare


class Votes(NamedTuple):
    """The votes of the judged samples of one problem."""

    right: int
    wrong: tuple[int, ...]
    """The votes for each wrong answer, in falling order."""
    silent: int
    """Samples without an answer."""

    @property
    def samples(self) -> int:
        return self.right + sum(self.wrong) + self.silent


def majority_at(k: int, completions: Judged) -> Interval | None:
    """Estimate the mean of maj@k over problems; those with fewer than k judged samples are left out.

    The other samples of a problem make samples / k independent draws.
    """
    voted = [votes for votes in ballots(completions) if votes.samples >= k]
    if not voted:
        return None
    chances = np.array([chance(k, votes) for votes in voted])
    return proportion_of_rates(chances, float(np.mean([votes.samples for votes in voted])) / k)


def ballots(completions: Judged) -> list[Votes]:
    """Return the votes on each problem, in the order of their ids."""
    answers = np.array([_spelled(answer) for answer in completions.extracted], dtype=object)
    problems = ByProblem(completions)
    rights = problems.split(completions.right, completions.judged)
    return [_votes(*both) for both in zip(rights, problems.split(answers, completions.judged), strict=True)]


def _votes(right: NDArray[np.generic], answers: NDArray[np.generic]) -> Votes:
    wrong = Counter(answer for answer, ok in zip(answers.tolist(), right.tolist(), strict=True) if not ok)
    silent = wrong.pop(None, 0)
    return Votes(int(right.sum()), tuple(sorted(wrong.values(), reverse=True)), silent)


@lru_cache(maxsize=100_000)
def _spelled(answer: str | None) -> str | None:
    """Return one spelling for equal answers; None for an empty one."""
    plain = bare(answer or "")
    if value := number(plain):
        return f"{value.value}{'%' * value.percent}"
    return plain.casefold() or None


@lru_cache(maxsize=100_000)
def chance(k: int, votes: Votes) -> float:
    """Return the probability that the correct answer wins among k samples, drawn without replacement; k is at most
    their number.

    With r votes for the correct answer, the subsets in which t others tie with it and none beats it are counted by the
    coefficient of x^(k - r) y^t in the product of one polynomial for each wrong answer.
    """
    wins = sum(comb(votes.right, r) * _won(k - r, r, votes) for r in range(1, min(k, votes.right) + 1))
    return float(wins / comb(votes.samples, k))


def _won(others: int, most: int, votes: Votes) -> float:
    """Return the ways to draw `others` votes for wrong answers with at most `most` for each, ties counted in part."""
    harmless = votes.silent + sum(count for count in votes.wrong if count < most)
    ways = [_binomials(harmless, min(harmless, others))]
    for count in (count for count in votes.wrong if count >= most):
        below, tie = _binomials(count, most - 1), comb(count, most)
        ways = _extended(ways, below, tie, most, others)
    return sum(float(row[others]) / (1 + ties) for ties, row in enumerate(ways) if len(row) > others)


def _extended(
    ways: Sequence[NDArray[np.float64]], below: NDArray[np.float64], tie: int, most: int, others: int
) -> list[NDArray[np.float64]]:
    """Return the ways with one more answer, by ties: it falls short of `most` votes, or reaches them and ties."""
    room = others + 1
    extended = [np.zeros(room) for _ in range(len(ways) + 1)]
    for ties, row in enumerate(ways):
        short = np.convolve(row, below)[:room]
        extended[ties][: len(short)] += short
        tied = row[: max(room - most, 0)]
        extended[ties + 1][most : most + len(tied)] += tie * tied
    return extended


def _binomials(count: int, highest: int) -> NDArray[np.float64]:
    return np.array([comb(count, chosen) for chosen in range(highest + 1)], dtype=np.float64)
