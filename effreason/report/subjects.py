"""Everything that was measured of one model on one suite: the base model, asked for brevity, and after each alpha.

The seeds of one alpha are taken together. What is paired with the base model is under `effect`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from effreason.artifacts import Interval
from effreason.behaviour.counting import Counts
from effreason.behaviour.kinds import Kind
from effreason.behaviour.measures import BehaviourChange, BehaviourMeasures, behaviour_changes, behaviours
from effreason.evaluation.by_problem import pooled
from effreason.evaluation.completions import Judged
from effreason.evaluation.cutting import EqualSpending, at_equal_spending
from effreason.evaluation.difficulty import ByDifficulty, by_solve_rate, by_source
from effreason.evaluation.efficiency import Efficiency, efficiency
from effreason.evaluation.paired import Comparison, compare
from effreason.report.budgets import Spending, accuracy_within, cut_short


class Answers(NamedTuple):
    """One suite's completions, and how often each shows each behaviour. Made by `gathering`."""

    judged: Judged
    counts: Counts


@dataclass(frozen=True)
class Effect:
    """What became of the base model."""

    comparison: Comparison
    spending: EqualSpending | None
    efficiency: Efficiency
    by_solve_rate: ByDifficulty
    by_source: ByDifficulty | None
    """None where the suite has no difficulty of its own."""
    behaviour: Mapping[Kind, BehaviourChange]


@dataclass(frozen=True)
class Subject:
    """One model in one state on one suite. Made by `subject`; read by the sections of the report."""

    model: str
    suite: str
    label: str
    """Such as `base model` or `α 0.2`."""
    alpha: float | None
    """None where no training run of this project lies behind it."""
    budgets: Sequence[int]
    within: Sequence[Interval | None]
    """Accuracy within each of `budgets`."""
    cut: Sequence[Spending]
    """When its completions are cut off at each of `budgets`."""
    behaviour: Mapping[Kind, BehaviourMeasures]
    effect: Effect | None
    """None for the base model."""


@dataclass(frozen=True)
class Asked:
    """One suite as it is told of. Made by the sweep."""

    model: str
    suite: str
    longest: int
    """Tokens at which the efficiency scores end."""
    budgets: Sequence[int]
    difficulty: Mapping[str, float]
    """The source's own, by problem; empty where it has none."""


def subject(asked: Asked, label: str, alpha: float | None, before: Answers, after: Sequence[Answers]) -> Subject:
    """`after` holds one suite's answers for each seed; with none at all, it is the base model."""
    mine, counts = _together(after or [before])
    return Subject(
        model=asked.model,
        suite=asked.suite,
        label=label,
        alpha=alpha,
        budgets=asked.budgets,
        within=accuracy_within(mine, asked.budgets),
        cut=cut_short(mine, asked.budgets),
        behaviour=behaviours(mine, counts),
        effect=_effect(asked, before, after) if after else None,
    )


def _effect(asked: Asked, before: Answers, after: Sequence[Answers]) -> Effect:
    mine, policies = before.judged, [each.judged for each in after]
    return Effect(
        comparison=compare(mine, policies),
        spending=at_equal_spending(mine, policies),
        efficiency=efficiency(mine, policies, asked.longest),
        by_solve_rate=by_solve_rate(mine, policies),
        by_source=by_source(mine, policies, asked.difficulty) if asked.difficulty else None,
        behaviour=behaviour_changes(*before, *_together(after)),
    )


def _together(answers: Sequence[Answers]) -> Answers:
    """Those of several seeds as if one model had given them."""
    return Answers(pooled([each.judged for each in answers]), np.concatenate([each.counts for each in answers]))
