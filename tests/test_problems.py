"""Sources, splits and files of problems."""

import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from effreason.choices import ChainSumSource, FileSource, Gsm8kSource, Math500Source, ReasoningGymSource
from effreason.errors import StepFailure, UserError
from effreason.problems.files import part_file, read_part, read_problems, write_part
from effreason.problems.sources import load
from effreason.problems.splits import (
    CONFLICT,
    DUPLICATE,
    apart,
    by_validation_hash,
    distinct,
    for_testing,
    problem_id,
    shuffled,
)
from effreason.records import Problem

QUESTIONS = st.lists(st.text(st.characters(exclude_categories=["C"]), min_size=1), min_size=1, max_size=60)


def problems_of(questions: list[str]) -> list[Problem]:
    return [Problem(problem_id(question), question, "1") for question in questions]


def write_lines(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


# ----------------------------------------------------------------------------------------------------- splits


@given(QUESTIONS, st.randoms(), st.integers(0, 5))
def test_no_split_or_draw_depends_on_the_order_of_the_file(questions: list[str], random, seed: int) -> None:
    problems, _ = distinct(problems_of(questions), "train")
    mixed = problems_of(questions)
    random.shuffle(mixed)
    others, _ = distinct(mixed, "train")
    assert [one.id for one in shuffled(problems, seed)] == [one.id for one in shuffled(others, seed)]
    assert [one.id for one in by_validation_hash(problems)] == [one.id for one in by_validation_hash(others)]


@given(QUESTIONS)
def test_every_question_is_kept_once_and_every_repetition_is_listed(questions: list[str]) -> None:
    kept, dropped = distinct(problems_of(questions), "train")
    ids = [problem.id for problem in kept]
    assert len(set(ids)) == len(ids)
    assert set(ids) == {problem_id(question) for question in questions}
    assert len(kept) + len(dropped) == len(questions)
    assert all(drop.reason == DUPLICATE for drop in dropped)


def test_a_question_with_two_answers_leaves_altogether() -> None:
    kept, dropped = distinct([Problem("a", "q", "1"), Problem("a", "q ", "2"), Problem("b", "r", "1")], "train")
    assert [problem.id for problem in kept] == ["b"]
    assert [drop.reason for drop in dropped] == [CONFLICT, CONFLICT]


@given(QUESTIONS, st.sets(st.integers(0, 59)))
def test_no_measured_question_is_trained_on_and_all_others_are(questions: list[str], places: set[int]) -> None:
    problems, _ = distinct(problems_of(questions), "train")
    measured = {problem.id for place, problem in enumerate(problems) if place in places}
    kept, dropped = apart(problems, measured, "train")
    assert {problem.id for problem in kept} == {problem.id for problem in problems} - measured
    assert {drop.problem.id for drop in dropped} == measured


def test_white_space_makes_no_other_question() -> None:
    assert problem_id("How  many\n eggs? ") == problem_id("How many eggs?") != problem_id("How many legs?")
    assert len(problem_id("?")) == 16


def test_the_tested_share_is_as_large_as_asked() -> None:
    tested = sum(for_testing(problem_id(str(number)), 0.1) for number in range(20_000))
    assert tested == pytest.approx(2_000, rel=0.1)


def test_another_seed_draws_in_another_order() -> None:
    problems = problems_of([str(number) for number in range(50)])
    assert shuffled(problems, 0) != shuffled(problems, 1)


# ------------------------------------------------------------------------------------------- made as needed


@pytest.mark.parametrize(("fewest", "most"), [(2, 2), (2, 3), (2, 10), (8, 10)])
def test_chain_sums_to_train_on_and_to_measure_on_are_disjoint(fewest: int, most: int) -> None:
    source = ChainSumSource(min_terms=fewest, max_terms=most)
    train = {problem.id for seed in range(3) for problem in load(source, "train", 400, seed)}
    test = {problem.id for seed in range(3) for problem in load(source, "test", 100, seed)}
    assert train
    assert test
    assert not train & test


def test_chain_sums_are_as_many_as_wanted_with_their_terms_as_difficulty() -> None:
    problems = load(ChainSumSource(), "test", 300, seed=1)
    assert len(problems) >= 300
    assert {problem.difficulty for problem in problems} == {float(terms) for terms in range(2, 11)}
    assert all(problem.difficulty == problem.question.count("+") + 1 for problem in problems)


def test_a_short_chain_sum_gives_no_more_than_there_are() -> None:
    source = ChainSumSource(min_terms=2, max_terms=2)
    assert len(load(source, "train", 10_000, 0)) + len(load(source, "test", 10_000, 0)) == 100


def test_reasoning_gym_makes_a_task_by_name_with_its_difficulty() -> None:
    source = ReasoningGymSource(task="chain_sum", options={"min_terms": 3, "max_terms": 4})
    train, test = load(source, "train", 60, seed=3), load(source, "test", 20, seed=3)
    assert len(train) >= 60
    assert len(test) >= 20
    assert not {one.id for one in train} & {one.id for one in test}
    assert {one.difficulty for one in train} == {3.0, 4.0}
    assert train == load(source, "train", 60, seed=3)


def test_an_unknown_reasoning_gym_task_lists_close_names() -> None:
    with pytest.raises(UserError, match=r"no task 'chainsum'.*chain_sum"):
        load(ReasoningGymSource(task="chainsum"), "train", 5, 0)


def test_a_wrong_option_of_reasoning_gym_is_refused() -> None:
    for options in ({"terms": 3}, {"min_terms": 9, "max_terms": 2}):
        with pytest.raises(UserError, match="cannot make chain_sum"):
            load(ReasoningGymSource(task="chain_sum", options=options), "train", 5, 0)


# -------------------------------------------------------------------------------------------------- user files


def test_a_file_gives_a_tenth_for_testing_and_the_rest_for_training(tmp_path: Path) -> None:
    rows = [{"question": f"What is {n} + 1?", "answer": n + 1} for n in range(500)]
    path = write_lines(tmp_path / "mine.jsonl", rows)
    train, test = (load(FileSource(path=str(path)), split, 1, 0) for split in ("train", "test"))
    assert len(train) + len(test) == 500
    assert len(test) == pytest.approx(50, abs=20)
    assert not {one.id for one in train} & {one.id for one in test}
    assert {one.answer for one in train + test} == {str(n + 1) for n in range(500)}


def test_parquet_and_jsonl_give_the_same_problems(tmp_path: Path) -> None:
    rows = [{"ask": f"What is {n} + 1?", "gold": str(n + 1), "level": n % 3} for n in range(20)]
    lines = write_lines(tmp_path / "mine.jsonl", rows)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "mine.parquet")
    columns = {"question": "ask", "answer": "gold", "difficulty": "level"}
    one = load(FileSource(path=str(lines), test_path=str(lines), **columns), "train", 1, 0)
    other = load(FileSource(path=str(tmp_path / "mine.parquet"), test_path=str(lines), **columns), "train", 1, 0)
    assert one == other
    assert {problem.difficulty for problem in one} == {0.0, 1.0, 2.0}


@pytest.mark.parametrize(
    ("second_line", "complaint"),
    [
        ('{"question": "?"}', r"line 2 has no column 'answer'; it has 'question'. Correct the column names"),
        ('{"question": "?", "answer": ""}', r"line 2 has no answer. Fill it in, or remove the row"),
        ('{"question": "?", "answer": null}', r"line 2 has no answer"),
        ('{"question": " ", "answer": "1"}', r"line 2 has no question"),
        ('{"question": "?", "answer": NaN}', r"line 2 has no answer"),
        ('{"question": "?", "answer": ["1"]}', r"line 2, answer is \['1'\], which is neither text nor a number"),
        ('{"question": "?", "answer": "1"', r"line 2 is not JSON"),
        (r'{"question": "\ud800?", "answer": "1"}', r"line 2 is not JSON"),
        ("[1, 2]", r"line 2 is not a JSON object"),
        ('{"question": "?", "answer": "1", "level": "hard"}', r"line 2, level is 'hard', which is not a number"),
    ],
)
def test_a_bad_row_is_refused_with_its_line_and_the_remedy(tmp_path: Path, second_line: str, complaint: str) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text('{"question": "1 + 1?", "answer": "2", "level": 1}\n' + second_line + "\n")
    source = FileSource(path=str(path), difficulty="level" if "level" in second_line else None)
    with pytest.raises(UserError, match=rf"mine\.jsonl, {complaint}"):
        load(source, "train", 1, 0)


def test_a_parquet_row_without_an_answer_is_refused_with_its_number(tmp_path: Path) -> None:
    rows = [{"question": "1 + 1?", "answer": "2"}, {"question": "2 + 2?", "answer": None}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "mine.parquet")
    with pytest.raises(UserError, match=r"mine\.parquet, row 2 has no answer"):
        load(FileSource(path=str(tmp_path / "mine.parquet")), "train", 1, 0)


@pytest.mark.parametrize(("name", "content"), [("a.parquet", b"no parquet"), ("a.jsonl", b"\xff\xfe"), ("a.csv", b"")])
def test_an_unreadable_file_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=name):
        load(FileSource(path=str(tmp_path / name)), "train", 1, 0)


def test_a_folder_without_the_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"neither train\.jsonl nor train\.parquet"):
        load(Gsm8kSource(folder=str(tmp_path)), "train", 1, 0)


def test_gsm8k_answers_are_what_follows_the_hashes_without_commas(tmp_path: Path) -> None:
    write_lines(tmp_path / "train.jsonl", [{"question": "How many?", "answer": "5 * 216 = 1,080\n#### 1,080"}])
    assert [one.answer for one in load(Gsm8kSource(folder=str(tmp_path)), "train", 1, 0)] == ["1080"]


def test_math500_has_levels_as_difficulty_and_no_training_split(tmp_path: Path) -> None:
    write_lines(tmp_path / "test.jsonl", [{"problem": "How many?", "answer": "\\pi", "level": 4}])
    source = Math500Source(folder=str(tmp_path))
    assert [(one.answer, one.difficulty) for one in load(source, "test", 1, 0)] == [("\\pi", 4.0)]
    with pytest.raises(UserError, match="no training split"):
        load(source, "train", 1, 0)


# -------------------------------------------------------------------------------------------- artifact's files


@given(QUESTIONS)
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, questions: list[str]) -> None:
    folder = tmp_path_factory.mktemp("part")
    problems = [Problem(problem_id(text), text, "½", place or None) for place, text in enumerate(questions)]
    for part in ("train", "validation", "gsm8k"):
        write_part(folder, part, problems)
        assert read_part(folder, part) == problems


def test_parts_lie_where_the_artifact_says() -> None:
    assert [part_file(part) for part in ("train", "validation", "gsm8k")] == [
        "train.jsonl",
        "validation.jsonl",
        "suite-gsm8k.jsonl",
    ]


def test_a_missing_or_foreign_file_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(StepFailure, match="holds no problems"):
        read_problems(tmp_path / "train.jsonl")
    (tmp_path / "train.jsonl").write_text('{"a": 1}\n')
    with pytest.raises(StepFailure, match="holds no problems"):
        read_problems(tmp_path / "train.jsonl")
