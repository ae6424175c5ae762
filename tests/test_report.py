"""What a report says, and what it must not do: read from a made-up sweep through the one door."""

import base64
import csv
import gzip
import html
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_sweep import HOSTILE, MadeUp, seal_comparison, seal_sweep

from effreason.artifacts import Interval, Report
from effreason.choices import BuiltInModel, KlInLoss, Ppo
from effreason.errors import StepFailure
from effreason.evaluation.completions import Judged
from effreason.experiment import Experiment
from effreason.figures import UNKNOWN, count, percent, points
from effreason.records import Problem
from effreason.report.axes import fitted
from effreason.report.budgets import accuracy_within, budgets_up_to, cut_short
from effreason.report.curves import Curve, read_curve, smoothed, thinned
from effreason.report.frontier import NARROW, WIDE, frontier, unbeaten
from effreason.report.method import _left_out
from effreason.report.points import Point, published_points
from effreason.report.published import PUBLISHED, published_on
from effreason.report.schema import SCHEMA_VERSION, Document, json_schema
from effreason.report.summary import _better
from effreason.report.table import markdown
from effreason.report.transcripts import LONGEST, drawn, largest_savings, shortened
from effreason.specs import Training
from effreason.steps import produce
from effreason.store.folder import FolderStore

PLAIN = MadeUp(problems=150, validation=150)
BROAD = MadeUp(
    models=("reasoner", "another-model"), alphas=(0.0, 0.2), seeds=(0, 1), suites=("chain-sum", "far-off"), problems=24,
    validation=12, samples=3, concise=True, probed=True,
)  # fmt: skip
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


def page_of(folder: Path) -> str:
    return (folder / "report.html").read_text()


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
    assert advice.alpha is not None and f"Recommended: alpha {advice.alpha:g}" in (folder / "report.html").read_text()


def test_cells_that_the_budget_held_back_are_named_wherever_the_others_are_told(tmp_path):
    store = FolderStore(tmp_path / "store")
    whole = seal_sweep(store, LEAST)
    part = whole.model_copy(update={"held_back": ("reasoner alpha=0.6 s0", "reasoner alpha=0.8 s0")})
    sentence = "2 of the sweep&#39;s 3 cells are missing, since the budget was used up before their training: reasoner "
    folders = [store.fetch(produce(spec, store), tmp_path / spec.address) for spec in (whole, part)]
    assert [sentence in page_of(folder) for folder in folders] == [False, True]
    assert [told(folder).held_back for folder in folders] == [(), part.held_back]
    assert [" cells are missing" in (folder / "table.md").read_text() for folder in folders] == [False, True]


def test_the_report_of_some_cells_says_that_the_others_of_the_experiment_were_held_back():
    sweep = Experiment(name="small", models=(BuiltInModel(),), alphas=(0.0, 0.4), seeds=(0, 1))
    address = sweep.prepare_spec().address
    rows = [sweep.cell(key, address, address, address) for key in sweep.cells()]
    assert sweep.report_spec(tuple(rows), address).held_back == ()
    assert sweep.report_spec(tuple(rows[:3]), address).held_back == ("reasoner alpha=0.4 s1",)


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        ({}, "alpha, threshold 0.1"),
        ({"algorithm": Ppo()}, "what could not be judged"),
        ({"kl": KlInLoss()}, "nothing: KL"),
    ],
)
def test_the_method_tells_the_filter_only_where_it_is_used(choice, told):
    assert _left_out(Training(**choice)).startswith(told)


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
            float(line["token_reduction"]), abs=1e-6
        )


def test_the_page_carries_the_csv_of_every_section(report_of):
    folder = report_of(PLAIN)
    links = dict(re.findall(r'download="made-up-(\w+)\.csv" href="data:text/csv[^,]*,([^"]+)"', page_of(folder)))
    assert set(links) == {path.stem for path in folder.glob("*.csv")} - {"transcripts", "faithfulness"}
    for name, link in links.items():
        if name != "training":
            assert unquote(html.unescape(link)) == (folder / f"{name}.csv").read_text()


def test_the_table_puts_the_baseline_first_and_lines_up(report_of):
    lines = (report_of(PLAIN) / "table.md").read_text().splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len({len(line) for line in table}) == 1
    assert [line.split("|")[1].strip() for line in table[2:]] == ["base model", "0", "0.05", "0.2", "0.4"]


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
    types = [attributes.get("type") for tag, attributes in page.found if tag == "script"]
    assert types == ["text/plain", None] and "img" not in tags
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


def test_a_section_without_data_says_why_and_how_to_get_it(report_of):
    page = page_of(report_of(PLAIN))
    assert "No probes were run" in page and "[evaluation.faithfulness]" in page
    assert "No probes were run" not in page_of(report_of(BROAD))


def test_what_a_training_has_to_beat_stands_in_the_table_or_why_it_does_not(report_of):
    page = page_of(report_of(BROAD))
    assert re.search(r'<th scope="row">asked to be brief</th>', page)
    assert re.search(r'<th scope="row">cut off at \d+ tokens</th>', page)
    assert "another-model was not asked to be brief. It knows no such words." in page
    kinds = {(each.model, each.kind.split(" at ")[0]) for each in told(report_of(BROAD)).baselines}
    assert kinds == {("reasoner", "asked to be brief"), ("reasoner", "cut off"), ("another-model", "cut off")}


def test_a_suite_of_another_kind_is_called_so(report_of):
    assert page_of(report_of(BROAD)).count("out of distribution</span>") == 5  # one for each section with suites


def test_reward_hacking_is_told_at_the_top_and_beside_the_training(report_of):
    folder = report_of(MadeUp(alphas=(0.2,), problems=10, validation=10, hacked=True))
    page = page_of(folder)
    first, second = (found.start() for found in re.finditer(r'class="alarm"', page))
    assert page.index('id="summary"') < first < page.index('id="frontier"')
    assert page.index('id="training"') < second < page.index('id="transcripts"')
    (alarm,) = told(folder).alarms
    assert alarm.sentence in html.unescape(page)
    assert told(report_of(PLAIN)).alarms == ()


def test_every_tile_of_the_verdict_has_a_unit_and_an_interval(report_of):
    tiles = re.findall(
        r"<div><dt><a [^>]*>([^<]+)</a></dt><dd>([^<]+)<span[^>]*>\[([^\]]+)\]", page_of(report_of(PLAIN))
    )
    assert len(tiles) == 5
    assert all("%" in figure or re.search("points|per ", term) for term, figure, _ in tiles)


@pytest.mark.parametrize(
    ("gain", "words"),
    [
        (Interval(0.433, 0.468, 0.512), "46.8 [43.3, 51.2] points better"),
        (Interval(-0.05, -0.03, -0.01), "3.0 [1.0, 5.0] points worse"),
        (Interval(-0.01, 0.02, 0.05), "neither clearly better nor worse (+2.0 [−1.0, +5.0] points)"),
    ],
)
def test_a_policy_is_called_better_than_the_truncated_base_model_only_where_its_interval_says_so(gain, words):
    assert _better(gain) == words


def test_the_verdict_compares_the_policy_with_the_truncated_base_model(report_of):
    page = page_of(report_of(PLAIN))
    assert re.search(
        r"Truncating the base model to the same token budget gives [\d.]+% \[[\d., ]+\] accuracy on chain-sum; "
        r"the trained model is ",
        page,
    )


def test_two_evaluations_are_compared_under_their_own_names(tmp_path):
    store = FolderStore(tmp_path)
    folder = store.fetch(produce(seal_comparison(store, PLAIN), store), tmp_path / "report")
    page = page_of(folder)
    assert (
        "<h3>other against one</h3>" in page and "Recommended: alpha" not in page and "recommended</span>" not in page
    )
    assert "This report compares two evaluations" in page
    assert told(folder).recommended == {}
    assert [effect.subject for effect in told(folder).effects] == ["other"]


@pytest.mark.slow
def test_a_full_sweep_fits_in_eight_megabytes(report_of):
    """3 models × 5 alphas × 500 problems, in texts of 10,000 characters that hardly compress."""
    full = MadeUp(
        models=("one", "two", "three"), alphas=(0.0, 0.05, 0.1, 0.2, 0.4), problems=500, samples=2, steps=300,
        words=1500, concise=True, probed=True,
    )  # fmt: skip
    size = (report_of(full) / "report.html").stat().st_size
    assert 3_000_000 < size < 8_000_000


def test_a_page_of_two_models_stays_small(report_of):
    assert (report_of(BROAD) / "report.html").stat().st_size < 2_000_000


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
    assert str(UNKNOWN) == "too little data"


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
        0,
        "α 0.2",
        Interval(tokens - 1, tokens, tokens + 1),
        Interval(accuracy, accuracy, accuracy),
        "trained",
        False,
        (),
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
    assert len(curve.step) == len(curve.reward) <= 150
    if steps <= 150:
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
        tokens_thinking=np.full(len(answers), np.nan),
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
    assert (
        "No problem was answered correctly both before and after." in (report_of(hopeless) / "report.html").read_text()
    )


def test_transcripts_are_drawn_in_turn_from_every_kind_of_change():
    before = judged([("a", 5, True), ("b", 5, True), ("c", 5, True), ("d", 5, False), ("e", 5, False)])
    after = judged([("a", 5, True), ("b", 5, False), ("c", 5, False), ("d", 5, True), ("e", 5, False)])
    chosen = [(each.problem.id, each.change) for each in drawn(PROBLEMS, before, after, room=1000)]
    assert chosen == [
        ("b", "became wrong"), ("d", "became correct"), ("a", "correct both times"), ("e", "wrong both times"),
        ("c", "became wrong"),
    ]  # fmt: skip
    assert drawn(PROBLEMS, before, after, room=1000, most=3) == drawn(PROBLEMS, before, after, room=1000)[:3]


@given(st.integers(0, 400))
def test_drawn_transcripts_keep_to_their_room(room):
    before, after = (judged([(name, 5, True) for name in "abcde"]) for _ in range(2))
    chosen = drawn(PROBLEMS, before, after, room)
    spent = [len((each.problem.question + each.before.text + each.after.text).encode()) for each in chosen]
    assert sum(spent) <= room
    assert len(chosen) == 5 or sum(spent) + max(spent, default=22) > room


@given(st.text(max_size=30_000))
def test_a_long_text_keeps_its_beginning_and_its_end(text):
    kept = shortened(text)
    assert kept == text if len(text) <= LONGEST else (kept[:100] == text[:100] and kept[-100:] == text[-100:])
    assert len(kept) <= LONGEST + 80


def test_the_bundle_holds_every_transcript_and_a_shared_text_once(report_of):
    packed = re.search(r'id="bundle">([^<]+)<', page_of(report_of(BROAD)))[1]
    content = json.loads(gzip.decompress(base64.b64decode(packed)))
    rows = list(csv.DictReader((report_of(BROAD) / "transcripts.csv").open()))
    assert len(content["pairs"]) == len(rows) > 100
    assert len(set(content["texts"])) == len(content["texts"]) < 2 * len(rows)
    group, problem, change, (text, tokens, *_), _ = content["pairs"][0]
    assert content["groups"][group] == [rows[0][name] for name in ("model", "suite", "before", "after")]
    assert content["problems"][problem][0] == rows[0]["problem_id"] and change == rows[0]["change"]
    assert content["texts"][text] == rows[0]["before_text"] and str(tokens) == rows[0]["before_tokens"]


# ------------------------------------------------------------------------------------------ budgets, published

answers = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 50), st.booleans()), min_size=2, max_size=30
).filter(lambda rows: len({name for name, *_ in rows}) > 1)


@settings(deadline=None)
@given(answers)
def test_more_budget_never_answers_less_and_all_of_it_answers_as_much_as_there_is(rows):
    completions = judged(rows)
    budgets = budgets_up_to(50)
    within = [interval.centre for interval in accuracy_within(completions, budgets)]
    assert within == sorted(within)
    rates = [np.mean([right for name, _, right in rows if name == each]) for each in {name for name, *_ in rows}]
    assert within[-1] == pytest.approx(np.mean(rates))


@settings(deadline=None)
@given(answers)
def test_a_model_cut_short_spends_and_answers_no_more_than_uncut(rows):
    path = cut_short(judged(rows), budgets_up_to(50))
    assert [each.tokens for each in path] == sorted(each.tokens for each in path)
    assert path[-1].tokens == pytest.approx(np.mean([length for _, length, _ in rows]))
    assert path[-1].accuracy == max(each.accuracy for each in path)


def test_published_points_are_those_of_the_suite_and_save_what_the_paper_says():
    """Arora & Zanette: at alpha 0.2, -84.6% tokens and -3.7 points on GSM8K, -51.0% and -5.0 on MATH-500."""
    assert published_on("chain-sum") == () and published_on("GSM8K") == published_on("gsm8k") != ()
    base, _, strong = published_on("gsm8k")
    assert 1 - strong.tokens / base.tokens == pytest.approx(0.846, abs=5e-4)
    assert strong.accuracy - base.accuracy == pytest.approx(-0.037, abs=5e-4)
    base, _, strong = published_on("math-500")
    assert 1 - strong.tokens / base.tokens == pytest.approx(0.510, abs=5e-4)


@settings(deadline=None)
@given(places, st.sampled_from(sorted(PUBLISHED)))
def test_points_of_others_never_hide_the_measured_ones(everyone, suite):
    plot = frontier([*everyone, *published_points(published_on(suite), 5)], WIDE)
    alone = frontier(everyone, WIDE)
    assert plot.x.high <= 3.5 * alone.x.high
    drawn_or_told = [mark.point for mark in plot.marks] + list(plot.outside)
    assert len(drawn_or_told) == len(everyone) + 3
