"""What the gate lets pass and what it refuses, and what it calls usual of a night."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from effreason.artifacts import Check, Decision, Interval, Measured
from effreason.evaluation.completions import Judged
from effreason.promotion.drift import FEWEST_NIGHTS, drift, expected
from effreason.promotion.gate import FEWEST_PROBLEMS, Models, checks, verdict
from effreason.promotion.page import page
from effreason.specs import Contender, Gate, GateSpec

SUITE = "sums"
SAMPLES = 4


def contender(number: int, policy: int | None) -> Contender:
    return Contender(policy=None if policy is None else f"train/{policy:024x}", evaluation=f"evaluate/{number:024x}")


FIRST_NIGHT = GateSpec(
    line="small",
    night="2026-01-31",
    gate=Gate(),
    suites=(SUITE,),
    candidate=contender(1, 1),
    champion=contender(0, None),
    base=contender(0, None),
)
LATER = FIRST_NIGHT.model_copy(update={"champion": contender(2, 2)})


def answers(seed: int, accuracy: float, tokens: float, problems: int = 400) -> Judged:
    """Of problems of which some are harder and some longer than others, the same for every seed."""
    chance, easiness = np.random.default_rng(seed), np.random.default_rng(0).normal(0, 0.03, problems)
    rates = np.clip(accuracy + easiness, 0, 1)
    rows = problems * SAMPLES
    return Judged(
        problem_ids=np.repeat([f"{number:016x}" for number in range(problems)], SAMPLES),
        texts=[""] * rows,
        tokens=np.maximum(1, chance.normal(tokens + 10 * (np.arange(rows) // SAMPLES % 5 - 2), 10)).astype(np.int64),
        truncated=np.zeros(rows, dtype=bool),
        right=chance.random(rows) < np.repeat(rates, SAMPLES),
        judged=np.ones(rows, dtype=bool),
        extracted=[None] * rows,
        tokens_thinking=np.full(rows, np.nan),
    )


def judged(candidate: Judged, champion: Judged, base: Judged | None = None) -> list[Check]:
    spec = FIRST_NIGHT if base is None else LATER
    models = Models({SUITE: candidate}, {SUITE: champion}, {SUITE: champion if base is None else base})
    return list(checks(spec, models))


def refusals(*models: Judged) -> list[str]:
    return [each.refusal for each in judged(*models) if each.refusal]


# ------------------------------------------------------------------------------------------------------- the gate


def test_as_right_and_shorter_passes():
    found = judged(answers(1, 0.95, 60), answers(2, 0.95, 90))
    assert not [each for each in found if each.refusal]
    (only,) = found
    assert only.against == "champion" and only.problems == 400
    assert only.token_ratio.centre == pytest.approx(60 / 90, abs=0.01) and only.token_ratio.high < 1
    told = verdict(FIRST_NIGHT, found)
    assert told.startswith(
        "The candidate passes (at 95%, one-sided): on sums (400 problems) it loses at most 2.0 points"
    )


def test_shorter_and_less_right_is_refused_for_accuracy():
    (why,) = refusals(answers(1, 0.85, 30), answers(2, 0.95, 90))
    assert why.startswith("loses more than 2.0 points of accuracy against the champion (−")


def test_as_right_and_as_long_is_refused_for_tokens():
    (why,) = refusals(answers(1, 0.95, 90), answers(2, 0.95, 90))
    assert why.startswith("is not shown to use fewer tokens than the champion")


def test_what_may_or_may_not_be_worse_is_refused():
    (why,) = refusals(answers(1, 0.95, 60, problems=40), answers(2, 0.95, 90, problems=40))
    assert why.startswith("may lose more than 2.0 points")


@pytest.mark.parametrize("problems", [0, 1, FEWEST_PROBLEMS - 1])
def test_too_little_data_is_refused(problems):
    (why,) = refusals(answers(1, 1.0, 10, problems=problems), answers(2, 1.0, 90, problems=problems))
    assert why == f"has too few problems for a comparison with the champion: {problems} of the 30 needed"


@pytest.mark.parametrize("problems", [58, 59])
def test_a_loss_that_so_few_problems_may_hide_is_none_that_is_ruled_out(problems):
    """0.95^59 is the first power of 0.95 below 0.05."""
    spec = FIRST_NIGHT.model_copy(update={"gate": Gate(max_accuracy_loss=0.05, max_total_loss=0.05)})
    of = Models(*({SUITE: answers(1, 2.0, tokens, problems)} for tokens in (30, 90, 90)))
    (only,) = checks(spec, of)
    assert only.refusal == (
        None if problems == 59 else "has too few problems for a comparison with the champion: 58 of the 59 needed"
    )


@pytest.mark.parametrize("margins", [(0.05, 0.01), (0.01, 0.05)])
def test_before_the_first_promotion_the_narrower_margin_holds(margins):
    """The base model is then the champion, and both conditions are about it."""
    gate = Gate(max_accuracy_loss=margins[0], max_total_loss=margins[1])
    spec = FIRST_NIGHT.model_copy(update={"gate": gate})
    (only,) = checks(spec, Models(*({SUITE: answers(seed, 0.95, 90)} for seed in (1, 2, 2))))
    assert only.max_accuracy_loss == 0.01


def test_small_losses_night_by_night_do_not_add_up():
    """The candidate is as good as a champion that has lost five points on the base model by and by."""
    found = judged(answers(1, 0.90, 50), answers(2, 0.90, 60), answers(3, 0.95, 90))
    by_rival = {each.against: each.refusal for each in found}
    assert by_rival["champion"] is None or "accuracy" in by_rival["champion"]
    assert "more than 3.0 points of accuracy against the base model" in by_rival["base"]


def test_against_the_base_model_more_tokens_are_no_matter():
    found = judged(answers(1, 0.95, 80), answers(2, 0.95, 90), answers(3, 0.95, 70))
    assert not [each for each in found if each.refusal]


def test_one_suite_of_several_is_enough_to_refuse():
    spec = FIRST_NIGHT.model_copy(update={"suites": ("a", "b")})
    good, bad, old = answers(1, 0.95, 60), answers(2, 0.80, 60), answers(3, 0.95, 90)
    models = Models({"a": good, "b": bad}, {"a": old, "b": old}, {"a": old, "b": old})
    found = list(checks(spec, models))
    assert [each.refusal is None for each in found] == [True, False]
    assert verdict(spec, found).startswith("The candidate is refused (at 95%, one-sided): on b it loses")


@settings(deadline=None, max_examples=25)
@given(st.floats(0.0, 0.2), st.floats(0.0, 0.2))
def test_a_wider_margin_never_refuses_what_a_narrower_one_lets_pass(one, other):
    narrow, wide = (
        FIRST_NIGHT.model_copy(update={"gate": Gate(max_accuracy_loss=margin, max_total_loss=margin)})
        for margin in sorted((one, other))
    )
    candidate, old = {SUITE: answers(1, 0.94, 60, 100)}, {SUITE: answers(2, 0.95, 90, 100)}
    models = Models(candidate, old, old)
    refused = [any(each.refusal for each in checks(spec, models)) for spec in (narrow, wide)]
    assert refused in ([True, True], [True, False], [False, False])


def test_a_candidate_at_the_margin_passes_at_most_one_time_in_twenty():
    """Truly two points worse, and shorter: 100 nights of 300 problems; 5% and three standard errors are 11.5%."""
    passed = sum(
        not refusals(answers(2 * night + 1000, 0.93, 60, 300), answers(2 * night + 1001, 0.95, 90, 300))
        for night in range(100)
    )
    assert passed <= 11


def test_an_equal_candidate_with_equal_tokens_passes_at_most_one_time_in_twenty():
    passed = sum(
        not refusals(answers(2 * night + 3000, 0.99, 60, 300), answers(2 * night + 3001, 0.99, 60, 300))
        for night in range(100)
    )
    assert passed <= 11


# ----------------------------------------------------------------------------------------------------------- drift


def measured(accuracy: float, tokens: float, who: str = "candidate") -> Measured:
    limits = [Interval(value - spread, value, value + spread) for value, spread in ((accuracy, 0.01), (tokens, 1.0))]
    return Measured.model_validate(
        {"who": who, "suite": SUITE, "problems": 100, "accuracy": limits[0], "tokens": limits[1]}
    )


def nights(number: int, accuracy: float = 0.95, tokens: float = 60.0) -> Iterator[Decision]:
    chance = np.random.default_rng(5)
    for night in range(1, number + 1):
        yield decision(night, measured(accuracy + chance.normal(0, 0.005), tokens + chance.normal(0, 0.5)))


def decision(night: int, *figures: Measured) -> Decision:
    return Decision(
        address=f"gate/{night:024x}", line="small", night=f"2026-01-{night:02d}", policy=f"train/{night:024x}",
        promotes=False, reason="", checks=(), measured=figures,
    )  # fmt: skip


def test_a_night_like_the_others_is_usual_and_one_unlike_them_is_not():
    past = list(nights(14))
    assert [figure.unusual for figure in drift([measured(0.95, 60)], past)] == [False, False]
    assert [figure.unusual for figure in drift([measured(0.90, 60)], past)] == [True, False]
    assert [figure.unusual for figure in drift([measured(0.95, 75)], past)] == [False, True]


def test_too_few_nights_say_nothing():
    figures = drift([measured(0.5, 5)], list(nights(FEWEST_NIGHTS - 1)))
    assert [(figure.expected, figure.unusual, figure.nights) for figure in figures] == [(None, None, 4)] * 2
    told = page(FIRST_NIGHT, decision(20, measured(0.5, 5)), figures)
    assert "Too few nights to say what is usual: 4 earlier ones, and 5 are needed." in told


def test_nights_that_happen_to_agree_are_no_reason_for_alarm():
    """Tonight differs by less than its own error."""
    past = [decision(night, measured(0.95, 60)) for night in range(1, 8)]
    assert not any(figure.unusual for figure in drift([measured(0.951, 60.3)], past))


def test_the_champion_is_not_among_what_drifts():
    assert drift([measured(0.95, 60, "champion")], list(nights(9))) == []


@pytest.mark.parametrize("earlier", [5, 14])
def test_a_prediction_interval_holds_the_next_night_as_often_as_it_says(earlier):
    chance = np.random.default_rng(earlier)
    interval = partial(expected, error=0.0, confidence=0.95)
    tries = [chance.normal(60, 2, earlier + 1) for _ in range(1500)]
    limits = [(interval(night[:-1]), night[-1]) for night in tries]
    held = sum(low <= last <= high for (low, _, high), last in limits)
    assert 0.93 < held / len(tries) < 0.97


def test_the_page_has_every_figure_with_its_interval():
    found = tuple(judged(answers(1, 0.95, 60), answers(2, 0.95, 90), answers(3, 0.95, 95)))
    whole = decision(20, measured(0.95, 60)).model_copy(update={"checks": found})
    told = page(LATER, whole, drift(whole.measured, list(nights(14))))
    assert (
        told.count("| passed |") == 2 and "| sums | candidate | 100 | 95.0% [94.0, 96.0] | 60.0 [59.0, 61.0] |" in told
    )
    assert "Every figure of tonight is within its expected interval." in told and told.count("| usual |") == 2
