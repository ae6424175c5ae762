"""Base and policies that answer side by side."""

import io
import json
from pathlib import Path

import pytest

from effreason.choices import FolderHome
from effreason.cli import main
from effreason.commands.ask import side_by_side
from effreason.experiment_file import prepared
from effreason.shipping.asking import Answer
from effreason.steps import produce
from effreason.store import open_store
from effreason.workbench import Runtime

SMALL = str(Path(__file__).parent / "data" / "small.toml")


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A store with two trained policies of one base."""
    folder = tmp_path_factory.mktemp("store")
    store = open_store(FolderHome(path=str(folder)))
    experiment = prepared(SMALL)
    shorter = experiment.training.model_copy(update={"steps": 1, "prompts_per_step": 2, "completions_per_prompt": 2})
    problems = produce(experiment.preparation(), store)
    for key in experiment.cells():
        spec = experiment.fine_tuning(key, problems.address).model_copy(update={"training": shorter})
        produce(spec, store, Runtime(threads=1, device="cpu"))
    return folder


def policies(place: Path) -> list[str]:
    addresses = open_store(FolderHome(path=str(place))).addresses()
    return [address for address in addresses if address.startswith("train/")]


def asked(place: Path, capsys, *arguments: str) -> dict:
    assert main(["ask", *policies(place), "3+4+5=?", "--json", "--store", str(place), *arguments]) == 0
    told: dict = json.loads(capsys.readouterr().out)
    return told


def test_the_base_answers_once_and_every_policy_after_it(place, capsys):
    told = asked(place, capsys)
    assert [answer["policy"] for answer in told["answers"]] == [None, *policies(place)]
    assert all(answer["tokens"] > 0 for answer in told["answers"])


def test_the_same_seed_draws_the_same_answers_and_another_seed_others(place, capsys):
    first = asked(place, capsys, "--seed", "1")
    assert asked(place, capsys, "--seed", "1") == first
    assert any(asked(place, capsys, "--seed", str(seed)) != first for seed in (2, 3, 4))


@pytest.mark.parametrize("seed", [10**22, -1, 2**63])
def test_any_number_is_a_seed(seed, place, capsys):
    assert asked(place, capsys, "--seed", str(seed)) == asked(place, capsys, "--seed", str(seed))


def test_greedy_answers_know_no_seed(place, capsys):
    assert asked(place, capsys, "--greedy", "--seed", "1") == asked(place, capsys, "--greedy", "--seed", "2")


def test_chat_answers_every_line_until_an_empty_one(place, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("1 + 2\n3 + 4\n\n5 + 6\n"))
    assert main(["chat", policies(place)[0], "--json", "--store", str(place)]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["question"] for one in told] == ["1 + 2", "3 + 4"]


def test_what_is_printed_says_that_it_is_no_measurement(place, capsys):
    assert main(["ask", policies(place)[0], "1 + 2", "--store", str(place)]) == 0
    printed = capsys.readouterr().out
    assert "no measurement" in printed and "(base)" in printed and " tokens" in printed


def test_an_address_that_is_not_there_is_refused(place, capsys):
    assert main(["ask", "train/ffff", "1 + 2", "--store", str(place)]) == 2
    assert "train/ffff" in capsys.readouterr().err


@pytest.mark.parametrize("width", [30, 60, 200])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_no_line_is_wider_than_the_terminal_and_no_word_is_lost(width, count):
    answers = [Answer(f"model {n}", None, "one two three\n\nfour " * 9, 40, n == 0) for n in range(count)]
    lines = list(side_by_side(answers, width))
    assert max(map(len, lines)) <= width
    assert " ".join(lines).count("three") == 9 * count
