"""Base and policies that answer side by side."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from effreason.artifacts import Evaluation, Policy
from effreason.choices import FolderHome
from effreason.cli import main
from effreason.commands.ask import side_by_side
from effreason.experiment_file import prepared
from effreason.provenance import provenance
from effreason.shipping.asking import Answer, protocol_of
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
    problems = produce(experiment.prepare_spec(), store)
    for key in experiment.cells():
        spec = experiment.train_spec(key, problems.address).model_copy(update={"training": shorter})
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


def test_a_question_that_is_no_utf_8_is_refused_before_anything_is_loaded(capsys):
    assert main(["ask", "no-such-thing", "1 + \udcff", "--store", "."]) == 2
    assert "The question is not UTF-8" in capsys.readouterr().err


def test_a_line_that_cannot_be_asked_spoils_neither_the_chat_nor_its_exit_code(place, tmp_path, capsys, monkeypatch):
    lines = tmp_path / "lines"
    lines.write_bytes(b"1 + \xff\n" + b"1+" * 600 + b"1=?\n1+2=?\n")
    with lines.open(encoding="utf-8") as typed:
        monkeypatch.setattr("sys.stdin", typed)
        assert main(["chat", policies(place)[0], "--json", "--store", str(place)]) == 2
    printed = capsys.readouterr()
    assert [json.loads(line)["question"] for line in printed.out.splitlines()] == ["1+2=?"]
    refused = printed.err.splitlines()
    assert "not UTF-8" in refused[0] and "do not fit" in refused[-1] and "Traceback" not in printed.err


def test_a_chat_without_standard_input_says_so(place, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    assert main(["chat", policies(place)[0], "--store", str(place)]) == 2
    assert "Standard input is closed" in capsys.readouterr().err


def test_the_evaluation_that_was_made_first_says_how_a_policy_is_asked(tmp_path):
    experiment, store = prepared(SMALL), open_store(FolderHome(path=str(tmp_path / "store")))
    spec = experiment.train_spec(next(iter(experiment.cells())), experiment.prepare_spec().address)
    trained = Policy(address=spec.address, model="reasoner", alpha=0, seed=0, steps=1, generated_tokens=1, seconds=1.0)
    (tmp_path / "files").mkdir()
    policy = store.seal(spec, trained, tmp_path / "files", provenance(datetime(2026, 1, 1, tzinfo=UTC), 1.0))
    usual = experiment.evaluate_spec(spec.model, policy.address, spec.problems)
    for day, max_tokens in ((2, 77), (3, 16), (4, 17), (5, 18), (6, 19), (7, 20)):
        looked = usual.model_copy(update={"protocol": usual.protocol.model_copy(update={"max_tokens": max_tokens})})
        seen = Evaluation(address=looked.address, suites={}, generated_tokens=1, seconds=1.0)
        store.seal(looked, seen, tmp_path / "files", provenance(datetime(2026, 1, day, tzinfo=UTC), 1.0))
    assert protocol_of(store, policy).max_tokens == 77
