"""`effreason evaluate`: any model measured by the step's own code, its evaluation kept, nonsense answered."""

import json
import re
import shutil
from pathlib import Path

import pytest

from effreason.cli import main
from effreason.reasoner import WEIGHTS
from effreason.store.folder import FolderStore

FEW = ("--problems", "6", "--samples", "2", "--temperature", "1", "--max-tokens", "160")


def evaluated(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[str, str]:
    """What was printed, and the address of the evaluation."""
    assert main(["evaluate", *arguments]) == 0
    printed = capsys.readouterr().out
    return printed, re.search(r"evaluate/[0-9a-f]{24}", printed)[0]


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["evaluate", *arguments]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "Traceback" not in said
    return said


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the command runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_suite_is_told_with_intervals_and_the_evaluation_is_in_the_store(folder, capsys):
    (folder / "mine.jsonl").write_text("".join(f'{{"problem": "{n}+1=?", "answer": {n + 1}}}\n' for n in range(8)))
    printed, address = evaluated(capsys, "--model", "reasoner", "--suite", "chain-sum", "--suite", "mine.jsonl", *FEW)
    for suite in ("chain-sum", "mine"):
        limits = r"\[[\d.]+, [\d.]+\]"
        assert re.search(rf"^{suite} +6 × 2 +[\d.]+% {limits} +[\d.]+ {limits}", printed, re.MULTILINE)
    manifest = FolderStore(folder / "runs/store").find(address)
    assert manifest.spec.protocol.samples == 2 and manifest.spec.prompt.template == "{question}"
    assert set(manifest.artifact.suites) == {"chain-sum", "mine"}


def test_a_model_from_elsewhere_is_measured_on_the_problems_of_another_evaluation(folder, capsys):
    _, one = evaluated(capsys, "--model", "reasoner", "--suite", "chain-sum", *FEW)
    shutil.copytree(WEIGHTS, folder / "trained elsewhere")
    _, other = evaluated(capsys, "--model", "trained elsewhere", "--like", one[:15])
    store = FolderStore(folder / "runs/store")
    mine, theirs = (store.find(address) for address in (one, other))
    assert theirs.spec.model.name == "trained-elsewhere" and theirs.spec.problems == mine.spec.problems
    assert theirs.spec.prompt == mine.spec.prompt
    assert theirs.artifact.suites == mine.artifact.suites, "the same weights say the same"


def test_what_is_measured_already_is_found(folder, capsys):
    arguments = ("--model", "reasoner", "--suite", "chain-sum", *FEW, "--store", "kept")
    first = evaluated(capsys, *arguments)
    made = json.loads(next(Path("kept/evaluate").glob("*/manifest.json")).read_text())["provenance"]["started"]
    assert evaluated(capsys, *arguments) == first
    assert made == json.loads(next(Path("kept/evaluate").glob("*/manifest.json")).read_text())["provenance"]["started"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--model", "reasoner", "--suite", "gsm9k"), "Did you mean gsm8k"),
        (("--model", "resoner", "--suite", "chain-sum"), "Did you mean reasoner"),
        (("--model", "llama-3.2-1b-instruct", "--suite", "chain-sum"), "meta-llama/|Llama-3.2-1B-Instruct"),
        (("--model", ".", "--suite", "chain-sum"), "has no config.json"),
        (("--model", "reasoner", "--suite", "nowhere.jsonl"), "There is no file"),
        (("--model", "reasoner", "--suite", "reasoning-gym:chain_sun"), "Did you mean chain_sum"),
        (("--model", "reasoner", "--suite", "chain-sum", "--problems", "0"), "problems = 0"),
        (("--model", "reasoner", "--suite", "chain-sum", "--temperature", "0"), "set samples = 1"),
        (("--model", "reasoner", "--suite", "chain-sum", "--suite", "chain-sum"), "same entry twice"),
        (("--model", "reasoner", "--suite", "chain-sum", "--prompt", "Think!"), "does not contain {question}"),
        (("--model", "reasoner", "--suite", "chain-sum", "--prompt", "{question}{budget}"), "contains {budget}"),
        (("--model", "reasoner", "--suite", "chain-sum", "--prompt", "{question}\udcff"), "The prompt is not UTF-8"),
        (("--model", "", "--suite", "chain-sum"), "no model ''"),
        (("--model", "x" * 300, "--suite", "chain-sum"), "There is no model"),
        (("--model", "reasoner", "--suite", "chain-sum", "--store", ""), "name of the store is empty"),
        (("--model", "reasoner", "--like", "evaluate/abc"), "begins with 'evaluate/abc'"),
        (("--model", "reasoner", "--like", ""), "begins with ''"),
        (("--model", "reasoner", "--like", "evaluate/abc", "--samples", "2"), "--like and --samples"),
        (("--model", "train/abc", "--suite", "chain-sum"), "begins with 'train/abc'"),
        (("--model", "reasoner", "--suite", "chain-sum", "--store", "s3://x"), "does not name a bucket"),
    ],
)
def test_nonsense_gets_one_sentence_with_the_remedy(folder, capsys, arguments, said):
    assert re.search(re.escape(said).replace(r"\|", "|"), refused(capsys, *arguments))
    assert not list(folder.glob("runs/store/evaluate/*")), "nothing was made"


def test_problems_are_no_evaluation_to_be_like(folder, capsys):
    evaluated(capsys, "--model", "reasoner", "--suite", "chain-sum", *FEW)
    assert "is not an evaluation" in refused(capsys, "--model", "reasoner", "--like", "prepare/")


def test_rows_that_were_left_out_are_told(folder, capsys):
    rows = [("1+1=?", 2), ("1+2=?", 3), ("1+2=?", 4)]
    (folder / "mine.jsonl").write_text("".join(f'{{"problem": "{sum}", "answer": {answer}}}\n' for sum, answer in rows))
    printed, address = evaluated(capsys, "--model", "reasoner", "--suite", "mine.jsonl", *FEW)
    problems = FolderStore(folder / "runs/store").find(address).spec.problems
    assert re.search(rf"^rows left out: .+: 2 \(dropped.jsonl of {problems} lists them\)$", printed, re.MULTILINE)
