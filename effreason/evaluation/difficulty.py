"""Does a policy save on easy problems and still spend on hard ones?

Two scales of difficulty. On the first it is 1 - the solve rate of the base model, with the bins of LASER-D (Liu et al.
2025, arXiv 2505.15612): easy from a solve rate of 2/3 on, medium from 1/3 on, hard below. Were the same completions to
place a problem and to be compared, a problem that was unlucky once would count as hard and then recover by itself
(regression to the mean). So the first, third, fifth … completion of each problem place it, and the others are what is
compared. On the second scale difficulty is the source's own, such as the terms of a chain: a bin for each value, or
neighbouring values in at most 5 bins of about equally many problems.

The slope of the reduction is the b of

    tokens before - tokens after = tokens before · (a + b · difficulty)

by least squares weighted with the tokens before, so that at b = 0 the reduction a is the ratio of means; per unit of
difficulty, which on the first scale is the way from always solved to never solved. A solve rate of few samples is a
rough measure of difficulty and draws slopes towards 0 (attenuation); it does not turn their sign.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from effreason.artifacts import Interval
from effreason.evaluation.by_problem import ByProblem, chosen, common, pooled
from effreason.evaluation.completions import Judged
from effreason.evaluation.intervals import Column, difference, mean, proportion, reduction
from effreason.evaluation.resampling import Sample, Weighed, resampled
from effreason.evaluation.scores import judged_problems, samples_of, solve_rates

FEWEST = 10
"""The least number of problems in a bin for which figures are reported."""
MOST_BINS = 5
THIRDS = (1 / 3, 2 / 3)


@dataclass(frozen=True)
class Bin:
    """Problems of similar difficulty. With fewer than FEWEST of them every figure is None."""

    label: str
    """A label such as `hard` or `4 to 5`."""
    low: float
    """Least difficulty in the bin."""
    high: float
    problems: int
    tokens_before: Interval | None
    tokens_after: Interval | None
    token_reduction: Interval | None
    """1 - mean tokens after / mean tokens before."""
    accuracy_before: Interval | None
    accuracy_after: Interval | None
    accuracy_change: Interval | None
    """Accuracy after less accuracy before."""


@dataclass(frozen=True)
class ByDifficulty:
    """Spending by difficulty. Made by `by_solve_rate` and `by_source`; read by the report."""

    scale: str
    """`solve rate` or `source`."""
    bins: tuple[Bin, ...]
    """The bins from easy to hard; those without any problem are left out."""
    reduction_slope: Interval | None
    """Change of the token reduction per unit of difficulty, as a fraction; below 0, less is saved on hard problems."""
    tokens_slope_before: Interval | None
    """Tokens that the base model spends more per unit of difficulty."""
    tokens_slope_after: Interval | None
    """The same of the policy; above 0, it still spends more on hard problems."""
    adaptation_before: Interval | None
    """Adaptation ratio (Xiang et al. 2025, arXiv 2506.05256): mean tokens in the hardest bin over the easiest one."""
    adaptation_after: Interval | None
    missing: dict[str, str]
    """The reason for each field that is None, by its name."""


@dataclass(frozen=True)
class _Placed:
    """Problems with their difficulty, and their completions before and after."""

    ids: Sequence[str]
    difficulty: Column
    before: ByProblem
    after: ByProblem


def by_solve_rate(before: Judged, after: Sequence[Judged]) -> ByDifficulty:
    """Place problems by the base model's solve rate on half of its completions; compare on the other half.

    Args:
        before: the base model on one suite; with a single completion of each problem nothing is reported.
        after: the policies of one alpha, one per seed.
    """
    placing, compared = ByProblem(before).halves()
    place, old, new = (ByProblem(one) for one in (chosen(before, placing), chosen(before, compared), pooled(after)))
    ids = sorted({*judged_problems(place)} & {*common([old, new])})
    if not ids:
        return _nothing(
            "solve rate", "No problem has two completions of the base model: one to place it, one to compare."
        )
    placed = _Placed(ids, 1 - solve_rates(place, ids), old, new)
    return _by_difficulty("solve rate", placed, _thirds(placed.difficulty))


def by_source(before: Judged, after: Sequence[Judged], difficulty: Mapping[str, float | None]) -> ByDifficulty:
    """Place problems by the source's own difficulty.

    Args:
        before: the base model on one suite.
        after: the policies of one alpha, one per seed.
        difficulty: `Problem.difficulty` by problem id; problems without one are left out.
    """
    old, new = ByProblem(before), ByProblem(pooled(after))
    known = {problem: value for problem in common([old, new]) if (value := difficulty.get(problem)) is not None}
    if not known:
        return _nothing("source", "The source gives no difficulty for these problems.")
    placed = _Placed([*known], np.array([*known.values()], dtype=np.float64), old, new)
    return _by_difficulty("source", placed, _neighbours(placed.difficulty))


@dataclass(frozen=True)
class _Member:
    """The problems of a bin before its figures are computed."""

    label: str
    inside: NDArray[np.bool_]


def _thirds(difficulty: Column) -> list[_Member]:
    """Bin problems by thirds of the solve rate, a fraction of small numbers: 2 of 3 is easy, however rounded."""
    easy, hard = difficulty <= THIRDS[0] + 1e-9, difficulty > THIRDS[1] + 1e-9
    return [_Member("easy", easy), _Member("medium", ~easy & ~hard), _Member("hard", hard)]


def _neighbours(difficulty: Column) -> list[_Member]:
    """Make a bin per value, or at most MOST_BINS of neighbouring values; a value goes with its middle problem."""
    values, places, counts = np.unique(difficulty, return_inverse=True, return_counts=True)
    group = np.arange(len(values))
    if len(values) > MOST_BINS:
        group = (MOST_BINS * (np.cumsum(counts) - counts / 2) / counts.sum()).astype(np.int64)
    return [_Member(_span(values[group == number]), group[places] == number) for number in np.unique(group)]


def _span(values: Column) -> str:
    return f"{values[0]:g}" if len(values) == 1 else f"{values[0]:g} to {values[-1]:g}"


def _by_difficulty(scale: str, placed: _Placed, members: Sequence[_Member]) -> ByDifficulty:
    members = [member for member in members if member.inside.any()]
    slopes = _slopes(placed)
    adaptation = _adaptation(placed, members[0].inside, members[-1].inside)
    missing = {name: _SLOPELESS for name, slope in slopes.items() if slope is None}
    missing |= {name: _UNEQUAL for name, ratio in adaptation.items() if ratio is None}
    bins = tuple(_bin(placed, member) for member in members)
    return ByDifficulty(scale, bins, **slopes, **adaptation, missing=missing)


_SLOPELESS = f"A slope needs {FEWEST} problems that differ in difficulty."
_UNEQUAL = f"Two bins of different difficulty with at least {FEWEST} problems each are needed."
_FIGURES = ("reduction_slope", "tokens_slope_before", "tokens_slope_after", "adaptation_before", "adaptation_after")


def _nothing(scale: str, reason: str) -> ByDifficulty:
    return ByDifficulty(scale, (), None, None, None, None, None, missing=dict.fromkeys(_FIGURES, reason))


def _bin(placed: _Placed, member: _Member) -> Bin:
    difficulty = placed.difficulty[member.inside]
    ids = [problem for problem, inside in zip(placed.ids, member.inside, strict=True) if inside]
    reported = ids if len(ids) >= FEWEST else []
    tokens, tokens_after = placed.before.tokens(reported), placed.after.tokens(reported)
    rights, rights_after = placed.before.rights(reported), placed.after.rights(reported)
    return Bin(
        label=member.label,
        low=float(difficulty.min()),
        high=float(difficulty.max()),
        problems=len(ids),
        tokens_before=mean(tokens),
        tokens_after=mean(tokens_after),
        token_reduction=reduction(tokens, tokens_after),
        accuracy_before=proportion(rights),
        accuracy_after=proportion(rights_after),
        accuracy_change=difference(rights, rights_after),
    )


def _slopes(placed: _Placed) -> dict[str, Interval | None]:
    differ = len(placed.ids) >= FEWEST and np.ptp(placed.difficulty) > 0
    sample = _sample(placed, {"difficulty": placed.difficulty})

    def slope(statistic: Callable[[Weighed], Column]) -> Interval | None:
        return resampled(sample, statistic) if differ else None

    return {
        "reduction_slope": slope(_reduction_slope),
        "tokens_slope_before": slope(lambda of: _slope(of, of["before"])),
        "tokens_slope_after": slope(lambda of: _slope(of, of["after"])),
    }


def _adaptation(placed: _Placed, easy: NDArray[np.bool_], hard: NDArray[np.bool_]) -> dict[str, Interval | None]:
    enough = min(easy.sum(), hard.sum()) >= FEWEST and not (easy & hard).any()
    sample = _sample(placed, {"easy": easy.astype(np.float64), "hard": hard.astype(np.float64)})

    def ratio(name: str) -> Interval | None:
        return resampled(sample, lambda of: _within(of, name, "hard") / _within(of, name, "easy")) if enough else None

    return {"adaptation_before": ratio("before"), "adaptation_after": ratio("after")}


def _sample(placed: _Placed, given: Mapping[str, Column]) -> Sample:
    tokens = {"before": placed.before.mean_tokens(placed.ids), "after": placed.after.mean_tokens(placed.ids)}
    return Sample(tokens, {}, given, samples_of(placed.before))


def _within(of: Weighed, tokens: str, place: str) -> Column:
    return of.mean(of[tokens] * of[place]) / of.mean(of[place])


def _slope(of: Weighed, tokens: Column) -> Column:
    """Return the least-squares slope of a straight line through tokens by difficulty."""
    x = of["difficulty"]
    return (of.mean(x * tokens) - of.mean(x) * of.mean(tokens)) / (of.mean(x * x) - of.mean(x) ** 2)


def _reduction_slope(of: Weighed) -> Column:
    """Return the b of the module's equation, from its two normal equations."""
    x, before, saved = of["difficulty"], of["before"], of["before"] - of["after"]
    once, twice, thrice = of.mean(before), of.mean(before * x), of.mean(before * x * x)
    return (once * of.mean(saved * x) - twice * of.mean(saved)) / (once * thrice - twice**2)
