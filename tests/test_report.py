"""What a report says, and what it must not do: read from a made-up sweep through the one door."""

import base64
import csv
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_sweep import HOSTILE, MadeUp, seal_sweep

from effreason.artifacts import Interval, Report
from effreason.errors import StepFailure
from effreason.evaluation.completions import Judged
from effreason.records import Problem
from effreason.report.axes import fitted
from effreason.report.curves import Curve, read_curve, smoothed, thinned
from effreason.report.figures import UNKNOWN, count, percent, points
from effreason.report.frontier import NARROW, WIDE, Point, frontier, unbeaten
from effreason.report.schema import SCHEMA_VERSION, Document, json_schema
from effreason.report.table import markdown
from effreason.report.transcripts import largest_savings
from effreason.steps import produce
from effreason.store.folder import FolderStore

PLAIN = MadeUp(problems=150, validation=150)
BROAD = MadeUp(
    models=("reasoner", "another-model"), alphas=(0.0, 0.2), seeds=(0, 1), suites=("chain-sum", "far-off"), problems=40
)
LEAST = MadeUp(alphas=(0.2,), validation=0, problems=1, samples=2)
UNANIMOUS = MadeUp(alphas=(0.0, 0.4), accuracy=1.1, problems=30)


@pytest.fixture(scope="module")
def report_of(tmp_path_factory):
    """A folder with the report of a made-up sweep, made once for each."""
    made: dict[MadeUp, Path] = {}

    def report(wanted: MadeUp) -> Path:
        if wanted not in made:
            folder = tmp_path_factory.mktemp("report")
            store = FolderStore(folder / "store")
            made[wanted] = store.fetch(produce(seal_sweep(store, wanted), store), folder / "report")
        return made[wanted]

    return report


def told(folder: Path) -> Document:
    return Document.model_validate_json((folder / "report.json").read_text())


# ------------------------------------------------------------------------------------------------ report.json


@pytest.mark.parametrize("wanted", [PLAIN, BROAD, LEAST, UNANIMOUS], ids=["plain", "broad", "least", "unanimous"])
def test_report_json_answers_its_schema(report_of, wanted):
    document = json.loads((report_of(wanted) / "report.json").read_text())
    jsonschema.validate(document, json.loads(json_schema()))
    assert document["schema"] == SCHEMA_VERSION
    cells = len(wanted.models) * len(wanted.alphas) * len(wanted.seeds) * len(wanted.suites)
    assert len(document["cells"]) == cells
    assert set(document["recommended"]) == set(wanted.models)


def test_the_schema_refuses_a_figure_in_percent_text_and_a_missing_field(report_of):
    document = json.loads((report_of(PLAIN) / "report.json").read_text())
    document["cells"][0]["after"]["accuracy"]["low"] = "95%"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, json.loads(json_schema()))
    del document["cells"][0]["after"]["accuracy"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, json.loads(json_schema()))


def test_no_cell_of_report_json_is_of_the_validation_part(report_of):
    assert {cell.suite for cell in told(report_of(BROAD)).cells} == {"chain-sum", "far-off"}


def test_no_interval_has_zero_width_even_when_every_answer_is_right(report_of):
    cells = told(report_of(UNANIMOUS)).cells
    assert all(cell.baseline.accuracy.centre == cell.after.accuracy.centre == 1 for cell in cells)
    for cell in cells:
        for limits in (cell.after.accuracy, cell.after.tokens, cell.change.accuracy, cell.change.token_reduction):
            assert limits.low < limits.high and limits.low <= limits.centre <= limits.high


def test_too_little_data_is_null_and_never_zero(report_of):
    (cell,) = told(report_of(LEAST)).cells
    assert cell.after.accuracy is cell.after.tokens is cell.change.token_reduction is None
    assert cell.after.pass_at == {}


def test_the_recommendation_is_in_the_manifest_as_on_the_page(tmp_path):
    store = FolderStore(tmp_path)
    manifest = produce(seal_sweep(store, PLAIN), store)
    assert isinstance(manifest.artifact, Report)
    folder = store.fetch(manifest, tmp_path / "report")
    (advice,) = told(folder).recommended.values()
    assert manifest.artifact.recommended == {"reasoner": advice.alpha}
    assert advice.alpha is not None and f"Train with alpha {advice.alpha:g}" in (folder / "report.html").read_text()


def test_a_missing_artifact_is_named(tmp_path):
    full, empty = FolderStore(tmp_path / "full"), FolderStore(tmp_path / "empty")
    with pytest.raises(StepFailure, match="not in the store"):
        produce(seal_sweep(full, LEAST), empty)


# -------------------------------------------------------------------------------------------- cells.csv, table


def test_cells_csv_has_a_line_for_every_cell_and_part(report_of):
    lines = list(csv.DictReader((report_of(BROAD) / "cells.csv").open()))
    assert len(lines) == 2 * 2 * 2 * 3
    assert {line["part"] for line in lines} == {"test", "validation"}
    for line in lines:
        assert float(line["after_tokens_low"]) < float(line["after_tokens"]) < float(line["after_tokens_high"])
        assert 1 - float(line["after_tokens"]) / float(line["baseline_tokens"]) == pytest.approx(
            float(line["token_reduction"])
        )


def test_the_page_carries_the_same_csv(report_of):
    folder = report_of(PLAIN)
    found = re.search(r'href="data:text/csv;charset=utf-8;base64,([^"]+)"', (folder / "report.html").read_text())
    assert base64.b64decode(found[1]).decode() == (folder / "cells.csv").read_text()


def test_the_table_puts_the_baseline_first_and_lines_up(report_of):
    lines = (report_of(PLAIN) / "table.md").read_text().splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len({len(line) for line in table}) == 1
    assert [line.split("|")[1].strip() for line in table[2:]] == ["as it comes", "0", "0.05", "0.2", "0.4"]


def test_the_table_names_only_what_differs(report_of):
    header = markdown(told(report_of(BROAD))).splitlines()[0]
    assert all(name in header for name in ("model", "suite", "seed"))
    header = markdown(told(report_of(LEAST))).splitlines()[0]
    assert not any(name in header for name in ("model", "suite", "seed"))


# ------------------------------------------------------------------------------------------------ report.html


class Elements(HTMLParser):
    """Every element of a page with its attributes, and the text inside `pre`."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.shown, self._within = "", ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self._within = tag

    def handle_endtag(self, tag):
        self._within = ""

    def handle_data(self, data):
        if self._within == "pre":
            self.shown += data


@pytest.mark.parametrize("wanted", [PLAIN, BROAD, LEAST], ids=["plain", "broad", "least"])
def test_the_page_reaches_for_nothing_outside_itself(report_of, wanted):
    page = (report_of(wanted) / "report.html").read_text()
    for tag, attributes in Elements(page).found:
        for name in ("src", "href", "srcset", "action", "poster", "data"):
            assert (attributes.get(name) or "data:").startswith(("data:", "#")), (tag, attributes)
        assert not any(name.startswith("on") or name == "style" for name in attributes)
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]
    assert "@import" not in style and "url(" not in style


def test_what_a_model_wrote_is_shown_and_never_obeyed(report_of):
    page = Elements((report_of(PLAIN) / "report.html").read_text())
    tags = [tag for tag, _ in page.found]
    assert tags.count("script") == 1 and "img" not in tags
    assert HOSTILE in page.shown


def test_every_row_of_every_table_has_a_header_and_every_picture_a_name(report_of):
    found = Elements((report_of(BROAD) / "report.html").read_text()).found
    tags = [tag for tag, _ in found]
    scopes = [attributes["scope"] for tag, attributes in found if tag == "th"]
    assert tags.count("tr") == tags.count("thead") + scopes.count("row") + scopes.count("rowgroup")
    pictures = [attributes for tag, attributes in found if tag == "svg"]
    assert all(attributes.get("aria-hidden") == "true" or attributes["aria-label"] for attributes in pictures)


@pytest.mark.parametrize("wanted", [PLAIN, BROAD, LEAST], ids=["plain", "broad", "least"])
def test_the_plot_for_the_prefect_ui_is_small_and_whole(report_of, wanted):
    picture = (report_of(wanted) / "frontier.svg").read_text()
    assert len(picture.encode()) < 60_000
    assert ElementTree.fromstring(picture).tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314  our own output


def test_a_page_of_two_models_stays_small(report_of):
    assert (report_of(BROAD) / "report.html").stat().st_size < 1_000_000


# ---------------------------------------------------------------------------------------------------- figures


@settings(deadline=None)
@given(st.floats(-1, 1), st.floats(1e-5, 1), st.floats(0, 1))
def test_limits_that_differ_are_shown_different(low, width, share):
    interval = Interval(low, low + share * width, low + width)
    for figure in (percent(interval), points(interval), count(interval)):
        shown = figure.limits.strip("[]").split(", ")
        assert shown[0] != shown[1]
        assert "-" not in str(figure)  # a minus sign is not a hyphen


def test_no_interval_says_why():
    assert percent(None) == points(None) == count(None) == UNKNOWN
    assert str(UNKNOWN) == "– too little data"


@settings(deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20))
def test_an_axis_holds_all_its_values(values):
    axis = fitted(values, 0, 100)
    slack = 1e-8 * (axis.high - axis.low)
    assert axis.low - slack <= min(values) and max(values) <= axis.high + slack
    assert len(axis.ticks) <= 12
    assert all(0 <= axis.at(value) <= 100 for value in values)


def at(tokens: float, accuracy: float) -> Point:
    return Point(
        0, "α 0.2", Interval(tokens - 1, tokens, tokens + 1), Interval(accuracy, accuracy, accuracy), False, False, ()
    )


places = st.lists(
    st.builds(at, st.integers(2, 60), st.integers(0, 10).map(lambda tenths: tenths / 10)), min_size=1, max_size=24
)


@settings(deadline=None)
@given(places)
def test_nobody_beats_the_frontier_and_somebody_on_it_beats_everybody_else(everyone):
    best = unbeaten(everyone)
    for point in everyone:
        beaten_by = [
            other
            for other in best
            if other.tokens.centre <= point.tokens.centre and other.accuracy.centre >= point.accuracy.centre
        ]
        assert beaten_by
        if point in best:
            assert beaten_by == [point]


@settings(deadline=None)
@given(places)
def test_every_mark_lies_on_the_paper(everyone):
    for size in (WIDE, NARROW):
        for mark in frontier(everyone, size).marks:
            assert 0 <= mark.left <= mark.x <= mark.right <= size.width
            assert 0 <= mark.top <= mark.y <= mark.bottom <= size.height


# --------------------------------------------------------------------------------------- curves, transcripts


@settings(deadline=None)
@given(st.integers(1, 2000))
def test_a_long_training_is_thinned_and_keeps_its_mean(steps):
    values = list(np.linspace(0, 1, steps))
    curve = thinned(Curve(range(1, steps + 1), values, values, values))
    assert len(curve.step) == len(curve.reward) <= 300
    if steps <= 300:
        assert curve.reward == values
    assert min(values) <= min(curve.reward) and max(curve.reward) <= max(values)


@settings(deadline=None)
@given(st.floats(-5, 5), st.integers(1, 400))
def test_smoothing_leaves_a_constant_as_it_is(value, steps):
    assert smoothed([value] * steps) == pytest.approx([value] * steps)


@pytest.mark.parametrize("content", [None, "", "not json\n", '{"step": 1}\n'])
def test_metrics_that_cannot_be_read_are_named(tmp_path, content):
    path = tmp_path / "metrics.jsonl"
    if content is not None:
        path.write_text(content)
    with pytest.raises(StepFailure, match=r"metrics\.jsonl"):
        read_curve(path)


def judged(answers: list[tuple[str, int, bool]]) -> Judged:
    ids, tokens, right = zip(*answers, strict=True)
    everything = np.ones(len(answers), dtype=bool)
    return Judged(
        problem_ids=np.array(ids),
        texts=[f"{problem_id} in {length}" for problem_id, length, _ in answers],
        tokens=np.array(tokens),
        truncated=~everything,
        right=np.array(right),
        judged=everything,
        extracted=[None] * len(answers),
    )


PROBLEMS = {name: Problem(name, f"{name}?", "1") for name in "abcde"}


def test_transcripts_were_right_both_times_and_saved_the_most():
    before = judged([("a", 50, True), ("b", 90, True), ("c", 80, False), ("d", 70, True), ("e", 60, True)])
    after = judged([("a", 40, True), ("b", 30, False), ("c", 10, True), ("d", 20, True), ("e", 50, True)])
    chosen = largest_savings(PROBLEMS, before, after)
    assert [(each.problem.id, each.saved) for each in chosen] == [("d", 50), ("a", 10), ("e", 10)]


def test_a_transcript_compares_the_same_sample_of_a_problem():
    before = judged([("a", 99, False), ("a", 50, True), ("a", 90, True)])
    after = judged([("a", 10, True), ("a", 40, True), ("a", 5, True)])
    (chosen,) = largest_savings(PROBLEMS, before, after)
    assert (chosen.before.tokens, chosen.after.tokens) == (50, 40)


def test_without_a_problem_right_both_times_there_is_no_transcript(report_of):
    assert largest_savings(PROBLEMS, judged([("a", 5, True)]), judged([("a", 5, False)])) == []
    hopeless = replace(LEAST, accuracy=-1.0)
    assert "No problem was answered rightly both before and after." in (report_of(hopeless) / "report.html").read_text()
