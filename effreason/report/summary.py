"""The verdict on each model in three sentences: what to do, what it brings, and whether training was worth it."""

from collections.abc import Sequence
from typing import NamedTuple

from effreason.alarm import Alarm
from effreason.artifacts import Interval
from effreason.figures import Figure, count, percent, points, signed
from effreason.report.sheets import Line, limits
from effreason.report.subjects import Subject
from effreason.report.sweep import CONCISE, Finding, Sweep, spoken


class CellAlarm(NamedTuple):
    """The alarm of one training run."""

    label: str
    alarm: Alarm


class Tile(NamedTuple):
    """One figure, and the section that tells more of it."""

    term: str
    section: str
    figure: Figure


class Verdict(NamedTuple):
    """One model. Made by `verdicts`; drawn at the top of the page."""

    model: str
    headline: str
    sentences: Sequence[str]
    alarms: Sequence[CellAlarm]
    tiles: Sequence[Tile]
    """On the first suite."""


def verdicts(sweep: Sweep) -> list[Verdict]:
    """One a model."""
    return [
        Verdict(
            model=finding.model,
            headline=_headline(finding),
            sentences=_sentences(sweep, finding),
            alarms=_alarms(sweep, finding.model),
            tiles=_tiles(next(iter(finding.subjects.values()))),
        )
        for finding in sweep.findings
    ]


def incomplete(reported: int, held_back: Sequence[str]) -> str | None:
    """That cells are missing beside those that are reported, and why; None where none is."""
    if not held_back:
        return None
    of_all = f"{len(held_back)} of the sweep's {reported + len(held_back)} cells"
    verb, whose = ("is", "its") if len(held_back) == 1 else ("are", "their")
    return (
        f"{of_all} {verb} missing, since the budget was used up before {whose} training: {', '.join(held_back)}. "
        "The recommendation considers only the cells that ran."
    )


def lines(sweep: Sweep) -> list[Line]:
    """One a model and suite, with the alpha that the verdict speaks of."""
    recommended = sweep.recommended
    return [_line(each, recommended[each.model]) for finding in sweep.findings for each in finding.subjects.values()]


def _line(subject: Subject, recommended: float | None) -> Line:
    assert subject.effect  # noqa: S101  findings hold trained models
    comparison = subject.effect.comparison
    return {
        "model": subject.model,
        "recommended_alpha": recommended,
        "alpha": subject.alpha,
        "suite": subject.suite,
        **limits("token_reduction", comparison.token_reduction),
        **limits("token_reduction_by_problem", comparison.token_reduction_by_problem),
        **limits("change_accuracy", comparison.accuracy),
    }


def _headline(finding: Finding) -> str:
    if finding.recommendation is None:
        return f"{finding.label} against {finding.before}"
    alpha = finding.recommendation.alpha
    return "No recommendation" if alpha is None else f"Recommended: alpha {alpha:g}"


def _sentences(sweep: Sweep, finding: Finding) -> list[str]:
    advice = [finding.recommendation.reason] if finding.recommendation else []
    effects = "; ".join(f"on {suite} {_effect(each)}" for suite, each in finding.subjects.items())
    who = f"With alpha {finding.alpha:g}" if advice else f"{finding.label} compared with {finding.before}"
    return [*advice, f"{who}: {effects}.", *_worth(sweep, finding)]


def _effect(subject: Subject) -> str:
    assert subject.effect  # noqa: S101  findings hold trained models
    comparison = subject.effect.comparison
    if comparison.accuracy is None or comparison.token_reduction is None:
        return "there is too little data for an interval"
    return (
        f"the model saves {percent(comparison.token_reduction)} of its tokens "
        f"and its accuracy changes by {points(comparison.accuracy)} points"
    )


def _worth(sweep: Sweep, finding: Finding) -> list[str]:
    """Compare with what costs no training, on the first suite."""
    suite, subject = next(iter(finding.subjects.items()))
    sentences = []
    if subject.effect and (cut := subject.effect.spending) and cut.gain:
        sentences.append(
            f"Truncating {spoken(finding.before)} to the same token budget gives {percent(cut.accuracy)} accuracy on "
            f"{suite}; {'the trained model' if finding.recommendation else finding.label} is {_better(cut.gain)}."
        )
    concise = next((each for each in sweep.of(finding.model, suite) if each.label == CONCISE), None)
    if concise and concise.effect and concise.effect.comparison.token_reduction:
        comparison = concise.effect.comparison
        sentences.append(
            f"Prompting for brevity instead saves {percent(comparison.token_reduction)} of the tokens and changes the "
            f"accuracy by {points(comparison.accuracy)} points."
        )
    return sentences


def _better(gain: Interval) -> str:
    """Such as `46.8 [43.3, 51.2] points better`; neither better nor worse where the interval holds 0."""
    if gain.low <= 0 <= gain.high:
        return f"neither clearly better nor worse ({points(gain)} points)"
    word, size = ("better", gain) if gain.low > 0 else ("worse", Interval(-gain.high, -gain.centre, -gain.low))
    return f"{count(Interval(*(100 * limit for limit in size)))} points {word}"


def _alarms(sweep: Sweep, model: str) -> list[CellAlarm]:
    return [
        CellAlarm(run.label, run.curve.alarm)
        for run in sweep.runs
        if run.cell.model == model and run.curve and run.curve.alarm
    ]


def _tiles(subject: Subject) -> list[Tile]:
    assert subject.effect  # noqa: S101  findings hold trained models
    effect = subject.effect
    difficulty = effect.by_source or effect.by_solve_rate
    after = "after" if subject.alpha is None else "after training"
    verification = effect.behaviour["verification"].per_problem
    return [
        Tile("Tokens saved", "frontier", percent(effect.comparison.token_reduction)),
        Tile("Accuracy change, points", "frontier", points(effect.comparison.accuracy)),
        Tile("Verification steps per problem, change", "behaviour", signed(verification)),
        Tile(f"Extra tokens per unit of difficulty, {after}", "difficulty", signed(difficulty.tokens_slope_after)),
        Tile("Accuracy over token budgets, change (points)", "budgets", points(effect.efficiency.area_change)),
    ]
