"""`effreason compare`: the report for any two evaluations of the same problems, and no report for others."""

import json
import re
import shutil
from pathlib import Path

import pytest
from made_up_sweep import MadeUp, seal_sweep

from effreason.cli import main
from effreason.specs import ReportSpec
from effreason.store.folder import FolderStore

CHANGE = r"accuracy change in points [+−][\d.]+ \[[+−][\d.]+, [+−][\d.]+\], token reduction [\d.]+% \[[\d.]+, [\d.]+\]"


@pytest.fixture(scope="module")
def sealed(tmp_path_factory) -> tuple[Path, ReportSpec]:
    """A small sweep in a store: one model, two alphas."""
    folder = tmp_path_factory.mktemp("store")
    return folder, seal_sweep(
        FolderStore(folder), MadeUp(alphas=(0.1, 0.4), problems=30, validation=20, samples=2, steps=5)
    )


@pytest.fixture
def place(sealed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """The options that name the store, seen from an empty folder."""
    monkeypatch.chdir(tmp_path)
    return ("--store", str(sealed[0]))


def compared(sealed, capsys, *arguments: str) -> tuple[str, ReportSpec, Path]:
    """What was printed, the spec of the report, and the page."""
    assert main(["compare", *arguments]) == 0
    printed = capsys.readouterr().out
    page, address = re.search(r"^Report: (.*) \((report/\w+)\)$", printed, re.MULTILINE).groups()
    spec = FolderStore(sealed[0]).find(address).spec
    assert isinstance(spec, ReportSpec)
    return printed, spec, Path(page)


def refused(capsys, *arguments: str) -> str:
    assert main(["compare", *arguments]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "Traceback" not in said
    return said


def test_a_model_and_its_policy_get_the_report_of_a_sweep_of_one(sealed, place, capsys, tmp_path):
    printed, spec, page = compared(sealed, capsys, "reasoner", "reasoner alpha=0.4 s0", *place)
    assert re.search(rf"^chain-sum: {CHANGE}$", printed, re.MULTILINE)
    assert page.parent.parent == tmp_path / "runs/compare" and page.stat().st_size > 10_000
    ours = next(cell for cell in sealed[1].cells if cell.alpha == 0.4)
    (cell,) = spec.cells
    assert (cell.model, cell.alpha, cell.seed, cell.names) == (ours.model, ours.alpha, ours.seed, None)
    assert (cell.policy, cell.baseline, cell.after) == (ours.policy, ours.baseline, ours.after)


def test_two_policies_are_compared_under_their_names(sealed, place, capsys):
    one, other = sealed[1].cells
    printed, spec, page = compared(sealed, capsys, one.after, other.policy, *place)
    (cell,) = spec.cells
    assert cell.policy is None and cell.names == ("reasoner alpha=0.1 s0", "reasoner alpha=0.4 s0")
    assert (cell.baseline, cell.after) == (one.after, other.after)
    told = json.loads((page.parent / "report.json").read_text())["cells"][0]["change"]["token_reduction"]
    assert f"token reduction {100 * told['centre']:.1f}%" in printed


def test_the_same_two_are_compared_once_and_printed_twice(sealed, place, capsys):
    assert compared(sealed, capsys, "reasoner", "reasoner alpha=0.1 s0", *place) == compared(
        sealed, capsys, sealed[1].cells[0].baseline, sealed[1].cells[0].after[:14], *place
    )


FEW = ("--problems", "6", "--samples", "2", "--temperature", "1", "--max-tokens", "160")


def measured(capsys, *options: str) -> str:
    """The address of an evaluation of the built-in model that was made by the command."""
    assert main(["evaluate", "--model", "reasoner", "--suite", "chain-sum", *FEW, *options]) == 0
    return re.search(r"evaluate/\w{24}", capsys.readouterr().out)[0]


def test_one_model_asked_in_two_ways_is_compared_and_the_ways_are_told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    one, other = measured(capsys), measured(capsys, "--prompt", "{question} no check")
    assert main(["compare", one, other]) == 0
    printed = capsys.readouterr().out
    assert (
        "They were asked differently: template '{question}' in one and '{question} no check' in the other." in printed
    )
    assert (tmp_path / "runs/compare").is_dir()


def test_different_problems_and_protocols_are_refused_with_what_differs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    one = measured(capsys)
    cases = {
        ("--samples", "4"): "by different protocols: samples 2 in one and 4 in the other",
        ("--problems", "7"): "on different problems: chain-sum with problems 6 in one and 7 in the other",
        ("--seed", "1"): "on different problems: seed 0 in one and 1 in the other",
        ("--suite", "reasoning-gym:chain_sum"): "chain-sum in one and chain-sum and chain_sum in the other",
    }
    for options, said in cases.items():
        answer = refused(capsys, one, measured(capsys, *options))
        assert said in answer and f"--like {one}" in answer
    assert not (tmp_path / "runs/compare").exists()


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        ("reasoner", "reasoner", "Both are the evaluation evaluate/"),
        ("resoner", "reasoner", "Did you mean 'reasoner'?"),
        ("evaluate/", "reasoner", "could be any of evaluate/"),
        ("", "reasoner", "no evaluation ''"),
        ("prepare/", "reasoner", "no evaluation 'prepare/'"),
    ],
)
def test_nonsense_gets_one_sentence_with_the_remedy(place, capsys, a, b, said):
    assert said in refused(capsys, a, b, *place)


def test_a_store_that_is_not_there_is_not_made(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert "There is no store in runs/store" in refused(capsys, "reasoner", "reasoner")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_holds_another_report_or_files_of_ones_own_is_left_alone(sealed, place, capsys, tmp_path):
    one, other = sealed[1].cells
    first, _, page = compared(sealed, capsys, one.baseline, one.after, *place, "--output", "mine")
    before = {path.name: path.read_bytes() for path in page.parent.iterdir()}
    assert "not empty" in refused(capsys, other.baseline, other.after, *place, "--output", "mine")
    assert {path.name: path.read_bytes() for path in page.parent.iterdir()} == before
    assert compared(sealed, capsys, one.baseline, one.after, *place, "--output", "mine")[0] == first
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "training.csv").write_text("months of work")
    assert "not empty" in refused(capsys, one.baseline, one.after, *place, "--output", "own")
    assert [path.name for path in (tmp_path / "own").iterdir()] == ["training.csv"]


def test_the_figures_are_the_reports_own_whatever_lies_where_it_goes(sealed, place, capsys):
    one = sealed[1].cells[0]
    printed, _, page = compared(sealed, capsys, one.baseline, one.after, *place)
    page.with_name("report.json").write_text('{"cells": []}')
    assert compared(sealed, capsys, one.baseline, one.after, *place)[0] == printed


def test_an_evaluation_that_is_damaged_is_called_so(sealed, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(sealed[0], tmp_path / "store")
    one, other = sealed[1].cells
    (tmp_path / "store" / other.after / "manifest.json").write_text("{")
    assert main(["compare", other.baseline, other.after, "--store", "store"]) == 1
    assert f"{other.after} is damaged" in capsys.readouterr().err
    assert main(["compare", one.baseline, one.after, "--store", "store"]) == 0
