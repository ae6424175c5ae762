"""The dashboard of a run: what a listener is told stands there, and nothing that nobody knows."""

import logging
import re
from collections.abc import Sequence

import pytest
from fake_step import artifact
from hypothesis import given
from hypothesis import strategies as st
from test_artifacts_command import PROVENANCE

from effreason.artifacts import Evaluation, Interval, Manifest, Measures
from effreason.choices import BuiltInModel
from effreason.errors import StepFailure
from effreason.experiment import Experiment
from effreason.planning import steps
from effreason.progress import Progress
from effreason.specs import Spec
from tasks.display.board import Board, Standing, State
from tasks.display.dashboard import Dashboard, lines_of
from tasks.display.levels import level_of
from tasks.display.page import key_of
from tasks.display.remaining import Seconds, Unknown, remaining
from tasks.running.process import Stopped
from tasks.running.spending import HeldBack

EXPERIMENT = Experiment(name="small", models=(BuiltInModel(),), alphas=(0.0, 0.4))
SPECS = {node.label: node.spec for node in steps(EXPERIMENT)}
TRAIN, MEASURE = "train reasoner alpha=0.4 s0", "evaluate reasoner alpha=0.4 s0"
BROWSER = "http://127.0.0.1:4280"


def manifest(label: str, seconds: float = 60.0, **origin: float) -> Manifest:
    spec = SPECS[label]
    return Manifest(
        address=spec.address,
        attempt="one",
        spec=spec,
        artifact=measured(spec) if spec.step == "evaluate" else artifact(spec),
        files=(),
        provenance=PROVENANCE.model_copy(update={"seconds": seconds, **origin}),
    )


def measured(spec: Spec) -> Evaluation:
    nothing = dict.fromkeys(("median_tokens", "tokens_right", "tokens_wrong", "truncated"))
    measures = Measures(
        problems=300, samples=4, unjudged=0, accuracy=Interval(0.91, 0.93, 0.95), tokens=Interval(58, 61, 64),
        pass_at={}, **nothing,
    )  # fmt: skip
    return Evaluation(address=spec.address, suites={"chain-sum": measures}, generated_tokens=1, seconds=1.0)


@pytest.fixture
def board() -> Board:
    return Board(SPECS)


def row(board: Board, subject: str, browser: str | None = None) -> list[str]:
    """The cells of a line of the dashboard, after the subject."""
    (line,) = [
        line
        for line in Dashboard(EXPERIMENT, board).markdown(browser).splitlines()
        if line.startswith(f"| {subject} |")
    ]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


# ------------------------------------------------------------------------------------------------- what stands there


def test_before_anything_has_begun_every_cell_waits_and_has_no_figures(board):
    page = Dashboard(EXPERIMENT, board).markdown(None)
    assert "small: 0 of 7 steps" in page and "7 waiting" in page and "No estimate of the time left" in page
    assert row(board, "reasoner alpha=0.4 s0") == ["waiting", "", "", "", ""]


def test_a_running_training_is_shown_with_the_figures_of_its_batch_marked_as_such(board):
    board.began(TRAIN)
    figures = {"reward": 0.8123, "tokens": 61.4, "accuracy": 0.9}
    board.progressed(TRAIN, Progress(phase="train", done=12, total=40, figures=figures))
    expected = ["**running**", "train 12/40", "*90.0%*", "*61*", ""]
    assert row(board, "reasoner alpha=0.4 s0") == expected
    board.progressed(TRAIN, Progress(phase="upload", done=1, total=9))
    assert row(board, "reasoner alpha=0.4 s0")[1:4] == ["train: upload 1/9", "*90.0%*", "*61*"]


def test_a_measured_cell_has_its_figures_with_intervals_how_long_it_took_and_links(board):
    board.ended(TRAIN, manifest(TRAIN, 50))
    assert row(board, "reasoner alpha=0.4 s0")[0] == "waiting"
    board.ended(MEASURE, manifest(MEASURE, 15))
    state, step, accuracy, tokens, took, links = row(board, "reasoner alpha=0.4 s0", BROWSER)
    assert (state, step, accuracy, tokens, took) == ("done", "", "93.0% [91.0, 95.0]", "61.0 [58.0, 64.0]", "1:05")
    assert f"[train]({BROWSER}/{SPECS[TRAIN].address}/)" in links
    assert f"[evaluate]({BROWSER}/{SPECS[MEASURE].address}/)" in links


def resumed(label: str, last: float, together: float) -> Manifest:
    """Of a training whose last attempt took so many seconds."""
    made = manifest(label, last, turn_seconds=last)
    return made.model_copy(update={"artifact": made.artifact.model_copy(update={"seconds": together})})


def test_a_training_took_what_all_its_attempts_took(board):
    board.ended(TRAIN, resumed(TRAIN, last=5, together=65))
    assert row(board, "reasoner alpha=0.4 s0")[4] == "1:05"
    over = Standing("train a", State.DONE, manifest=resumed(TRAIN, last=5, together=65))
    assert ahead(over, standing("train b")) == Seconds(65.0, 65.0)


def test_what_was_in_the_store_is_told_from_what_was_made(board):
    for label in (TRAIN, MEASURE):
        board.found(label, manifest(label))
    assert row(board, "reasoner alpha=0.4 s0")[0] == "found"
    assert "2 found" in Dashboard(EXPERIMENT, board).markdown(None)


def test_a_failure_is_told_with_its_remedy_and_one_that_is_tried_again_is_told_no_more(board):
    board.began(TRAIN)
    board.failed(TRAIN, StepFailure("The oven is cold.", "Light it."))
    assert f"**{TRAIN}**: The oven is cold. Light it." in Dashboard(EXPERIMENT, board).markdown(None)
    board.began(TRAIN)
    assert "oven" not in Dashboard(EXPERIMENT, board).markdown(None)


def test_as_long_as_the_run_is_not_over_steps_that_failed_or_were_stopped_do_not_end_it(board):
    other = "reasoner alpha=0 s0"
    board.ended(f"train {other}", manifest(f"train {other}", 60))
    board.found("evaluate reasoner", manifest("evaluate reasoner", 30))
    board.began(f"evaluate {other}")
    board.failed(TRAIN, Stopped())
    page = Dashboard(EXPERIMENT, board).markdown(None)
    assert "1 stopped" in page and re.search(r"About 0:(29|30) left", page), (
        "the cell that was stopped is not waited for"
    )
    board.failed(TRAIN, StepFailure("The oven is cold.", "Light it."))
    page = Dashboard(EXPERIMENT, board).markdown(None)
    assert "1 failed" in page and re.search(r"About (1:59|2:00) left", page), "it is tried again"
    board.failed(f"evaluate {other}", Stopped())
    dashboard = Dashboard(EXPERIMENT, board)
    assert "Finished steps are kept" not in dashboard.markdown(None), "others wait for their turn, or to be tried again"
    assert "Finished steps are kept; the next run continues from there." in dashboard.markdown(None, over=True)


def test_a_run_that_has_made_everything_leaves_nothing_to_the_next(board):
    for label, spec in SPECS.items():
        if spec.step in ("train", "evaluate"):
            board.ended(label, manifest(label))
    assert "Finished steps are kept" in Dashboard(EXPERIMENT, board).markdown(None, over=True)
    for label in ("prepare", "report"):
        board.found(label, manifest(label))
    assert "All steps are done." in Dashboard(EXPERIMENT, board).markdown(None, over=True)


def test_what_the_budget_holds_back_says_so(board):
    refusal = HeldBack("1 GPU-hours (1.1 spent)")
    board.alarmed(TRAIN, f"{refusal.happened} No further training will start.")
    board.failed(TRAIN, refusal)
    assert row(board, "reasoner alpha=0.4 s0")[0] == "**stopped**"
    page = Dashboard(EXPERIMENT, board).markdown(None)
    assert f"**{TRAIN}**: The budget of 1 GPU-hours (1.1 spent) is used up." in page


def test_an_alarm_stays_to_be_seen_and_a_step_that_was_stopped_has_not_failed(board):
    board.began(TRAIN)
    board.alarmed(TRAIN, "The reward rises while the accuracy falls.")
    board.ended(TRAIN, manifest(TRAIN))
    assert "The reward rises while" in Dashboard(EXPERIMENT, board).markdown(None)
    board.failed(MEASURE, Stopped())
    assert row(board, "reasoner alpha=0.4 s0")[0] == "**stopped**"


def test_a_step_that_nobody_expected_has_a_line_too(board):
    board.began("evaluate champion")
    assert row(board, "champion")[0] == "**running**"


@given(states=st.lists(st.sampled_from(State), min_size=1, max_size=3))
def test_a_cell_is_done_only_when_all_its_steps_are_over(states):
    (line,) = lines_of(Standing(f"{number} cell", state) for number, state in enumerate(states))
    assert (line.state in (State.DONE, State.FOUND)) == (set(states) <= {State.DONE, State.FOUND})


@given(states=st.lists(st.sampled_from(State), min_size=1, max_size=3))
def test_a_running_step_hides_none_of_its_cell_that_failed_or_was_stopped(states):
    (line,) = lines_of(Standing(f"{number} cell", state) for number, state in enumerate(states))
    worst = [state for state in (State.FAILED, State.STOPPED, State.RUNNING) if state in states]
    assert line.state is worst[0] if worst else line.state not in (State.FAILED, State.STOPPED, State.RUNNING)


# ----------------------------------------------------------------------------------------------- how long it takes


def standing(label: str, done: int | None = None, seconds: float | None = None) -> Standing:
    """One of 10 that has run for 100 s of the clock since 0, or one that took so many seconds, or one that waits."""
    if seconds is not None:
        return Standing(label, State.DONE, manifest=manifest(TRAIN, seconds))
    if done is None:
        return Standing(label)
    return Standing(label, State.RUNNING, began=0.0, progress=Progress(phase="train", done=done, total=10))


def ahead(*standings: Standing, side_by_side: int = 1) -> Seconds | Unknown:
    return remaining(standings, side_by_side, now=100.0)


def test_without_any_pace_there_is_a_reason_in_place_of_an_estimate():
    assert ahead(standing("train a")) == Unknown("no training run has progressed far enough to estimate from")
    assert ahead(standing("train a", done=0)) == Unknown("no training run has progressed far enough to estimate from")
    assert ahead(standing("train a", done=5), standing("evaluate a")) == Unknown(
        "no evaluation has progressed far enough to estimate from"
    )


def test_a_step_that_runs_goes_on_as_it_has():
    assert ahead(standing("train a", done=4)) == Seconds(150.0, 150.0)


def test_what_a_phase_had_behind_it_when_it_began_is_no_part_of_its_pace():
    progress = Progress(phase="train", done=6, total=10)
    gone_on = Standing("train a", State.RUNNING, began=0.0, phase_began=20.0, phase_first=4, progress=progress)
    assert ahead(gone_on) == Seconds(160.0, 160.0)


def test_a_step_that_waits_lasts_as_long_as_the_quickest_and_the_slowest_of_its_kind():
    over = [standing("train a", seconds=40.0), standing("train b", seconds=60.0)]
    assert ahead(*over, standing("train c"), standing("train d")) == Seconds(80.0, 120.0)
    assert ahead(*over, standing("train c"), standing("train d"), side_by_side=2) == Seconds(40.0, 60.0)


def test_a_cell_is_measured_only_after_its_training_however_many_go_side_by_side():
    over = [standing("train a", seconds=40.0), standing("evaluate a", seconds=10.0)]
    assert ahead(*over, standing("train b"), standing("evaluate b"), side_by_side=8) == Seconds(50.0, 50.0)


@given(st.lists(st.floats(1, 1e4), min_size=1, max_size=5), st.integers(1, 8), st.integers(0, 5))
def test_an_estimate_is_never_the_wrong_way_round_and_nothing_ahead_takes_no_time(lasted, side_by_side, waiting):
    over: Sequence[Standing] = [standing(f"train {number}", seconds=each) for number, each in enumerate(lasted)]
    estimate = ahead(*over, *(standing(f"train w{number}") for number in range(waiting)), side_by_side=side_by_side)
    assert 0 <= estimate.low <= estimate.high and (estimate.high == 0) == (waiting == 0)


# -------------------------------------------------------------------------------------------------------- its log


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("Reading 300 problems", logging.INFO),
        ("a word about Error: handling", logging.INFO),
        ("/x/y.py:12: UserWarning: the tokenizer has no pad token", logging.WARNING),
        ("WARNING:effreason:slow", logging.WARNING),
        ("[WARNING] slow", logging.WARNING),
        ("Traceback (most recent call last):", logging.ERROR),
        ("torch.OutOfMemoryError: CUDA out of memory", logging.ERROR),
        ("ERROR 11-21 the engine died", logging.ERROR),
    ],
)
def test_a_line_of_a_step_has_its_level(line, level):
    assert level_of(line) == level


@given(st.text(max_size=40))
def test_any_name_makes_a_key_as_prefect_wants_it(name):
    assert re.fullmatch(r"[a-z0-9-]*", key_of(name))
