"""The step prepare, from its spec to its files."""

import json
import os
from pathlib import Path

import pytest

from effreason.artifacts import Problems
from effreason.choices import ChainSumSource, FileSource, FolderHome, Gsm8kSource, Math500Source
from effreason.errors import UserError
from effreason.problems.files import read_part
from effreason.progress import Progress
from effreason.specs import PrepareSpec, Suite
from effreason.steps.prepare import make
from effreason.store import open_store
from effreason.workbench import Workbench

DATA = os.environ.get("EFFREASON_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="set EFFREASON_DATA to a folder with gsm8k/ and math500/")


def prepare(folder: Path, told: list[Progress] | None = None, **fields: object) -> tuple[Problems, Path]:
    folder.mkdir(exist_ok=True)
    bench = Workbench(
        open_store(FolderHome(path=str(folder / "store"))),
        folder,
        tell=(told if told is not None else []).append,
    )
    settings = {"train_problems": 50, "validation_problems": 10, "seed": 0} | fields
    return make(PrepareSpec.model_validate(settings), bench), bench.output


def ids(folder: Path, part: str) -> set[str]:
    return {problem.id for problem in read_part(folder, part)}


def listed(folder: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (folder / "dropped.jsonl").read_text().splitlines()]


def test_chain_sums_fill_every_part_and_no_question_is_in_two(tmp_path: Path) -> None:
    source, told = ChainSumSource(), list[Progress]()
    suites = [Suite(name="long", source=ChainSumSource(min_terms=8), problems=30), Suite(name="all", source=source)]
    problems, folder = prepare(tmp_path, told, source=source, train_problems=500, suites=suites)
    assert (problems.train, problems.validation, problems.suites) == (500, 10, {"long": 30, "all": 300})
    trained, kept = ids(folder, "train"), ids(folder, "validation")
    assert len(trained) == 500
    assert not trained & kept
    assert not (trained | kept) & (ids(folder, "long") | ids(folder, "all"))
    assert told[-1] == Progress(phase="load", done=3, total=3)


def test_the_same_spec_writes_the_same_bytes(tmp_path: Path) -> None:
    source = ChainSumSource()
    folders = [
        prepare(tmp_path / name, source=source, suites=[Suite(name="s", source=source)])[1] for name in ("a", "b")
    ]
    for name in ("train.jsonl", "validation.jsonl", "suite-s.jsonl", "dropped.jsonl"):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()


def test_another_seed_trains_on_others_and_validates_on_the_same(tmp_path: Path) -> None:
    path = _file(tmp_path / "mine.jsonl", [(f"What is {n} + 1?", str(n + 1)) for n in range(300)])
    source = FileSource(path=str(path))
    suites = [Suite(name="s", source=source)]
    one, other = (prepare(tmp_path / str(seed), source=source, suites=suites, seed=seed)[1] for seed in (0, 1))
    assert ids(one, "validation") == ids(other, "validation")
    assert ids(one, "train") != ids(other, "train")


def test_what_does_not_enter_is_counted_and_listed_with_its_reason(tmp_path: Path) -> None:
    rows = [(f"What is {n} + 1?", str(n + 1)) for n in range(40)]
    train = [*rows[10:], ("What is  12 + 1?", "13"), ("Two?", "1"), ("Two?", "2"), ("Broken?", "\\frac{1}{")]
    source = FileSource(
        path=str(_file(tmp_path / "train.jsonl", train)), test_path=str(_file(tmp_path / "test.jsonl", rows[:15]))
    )
    problems, folder = prepare(
        tmp_path, source=source, suites=[Suite(name="mine", source=source)], validation_problems=5
    )
    assert problems.dropped == {
        "duplicate": 1,
        "two different answers": 2,
        "also in a suite": 5,
        "gold answer not gradable": 1,
    }
    assert (problems.train, problems.validation, problems.suites) == (20, 5, {"mine": 15})
    assert [drop["question"] for drop in listed(folder) if drop["reason"] == "gold answer not gradable"] == ["Broken?"]
    assert not (ids(folder, "train") | ids(folder, "validation")) & ids(folder, "mine")


def test_a_question_of_a_suite_is_not_trained_on_even_when_the_draw_left_it_out(tmp_path: Path) -> None:
    rows = [(f"What is {n} + 1?", str(n + 1)) for n in range(30)]
    train = FileSource(
        path=str(_file(tmp_path / "a.jsonl", rows)), test_path=str(_file(tmp_path / "b.jsonl", rows[:10]))
    )
    problems, _ = prepare(
        tmp_path, source=train, suites=[Suite(name="mine", source=train, problems=3)], validation_problems=0
    )
    assert (problems.train, problems.suites, problems.dropped) == (20, {"mine": 3}, {"also in a suite": 10})


def test_validation_that_would_leave_nothing_to_train_on_is_refused(tmp_path: Path) -> None:
    path = str(_file(tmp_path / "mine.jsonl", [(f"What is {n} + 1?", str(n + 1)) for n in range(30)]))
    source = FileSource(path=path)
    with pytest.raises(UserError, match=r"is left to train on.*Lower validation_problems"):
        prepare(tmp_path, source=source, suites=[Suite(name="s", source=source)], validation_problems=1000)


@needs_data
def test_gsm8k_and_math500_enter_whole(tmp_path: Path) -> None:
    gsm8k, math500 = Gsm8kSource(folder=f"{DATA}/gsm8k"), Math500Source(folder=f"{DATA}/math500")
    suites = [
        Suite(name="gsm8k", source=gsm8k, problems=10_000),
        Suite(name="math500", source=math500, problems=10_000),
    ]
    problems, folder = prepare(tmp_path, source=gsm8k, train_problems=10_000, validation_problems=300, suites=suites)
    assert (problems.train, problems.validation) == (7_173, 300)
    assert problems.suites == {"gsm8k": 1_319, "math500": 500}
    assert sum(problems.dropped.values()) == len(listed(folder)) == 0
    assert {problem.difficulty for problem in read_part(folder, "math500")} == {1.0, 2.0, 3.0, 4.0, 5.0}
    assert all("," not in problem.answer and "#" not in problem.answer for problem in read_part(folder, "train"))


def _file(path: Path, rows: list[tuple[str, str]]) -> Path:
    path.write_text("".join(json.dumps({"question": q, "answer": a}) + "\n" for q, a in rows))
    return path
