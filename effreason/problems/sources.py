"""Problems of every kind of source, by split.

    chain-sum, reasoning-gym   made as needed; a quarter of all questions, by their hash, is for testing
    gsm8k, hub                 the official splits
    math500                    a test split only
    file                       a file for each, or a tenth of one, by the hash of the question, for testing

Answers of reasoning-gym are judged by equality like all others, not by the task's own scorer: for a task with many
right answers (`countdown`), only one that equals the reference is right.
"""

import difflib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, assert_never

from effreason.choices import (
    ChainSumSource,
    FileSource,
    Gsm8kSource,
    HubSource,
    Math500Source,
    ReasoningGymSource,
    Source,
)
from effreason.errors import UserError
from effreason.extras import require
from effreason.hub import GSM8K, MATH500
from effreason.problems.chain_sum import chain_sums
from effreason.problems.hub_rows import hub_rows
from effreason.problems.local import Row, read_rows, split_file
from effreason.problems.splits import for_testing, problem_id
from effreason.records import Problem

Split = Literal["train", "test"]

TEST_SHARE = 0.1
"""The tested share of the rows of a source without a test split."""
MADE_TEST_SHARE = 0.25
"""The tested share of generated questions: larger, so that the short chains, which are few, can be measured too."""


def load(source: Source, split: Split, wanted: int, seed: int) -> list[Problem]:
    """Return the problems of a split. Sources that generate theirs make `wanted` of them, or as many as there are.

    Raises `UserError` when the source is unreadable, has no such split, or a row has no question or answer;
    `StepFailure` when the hub cannot be reached.
    """
    match source:
        case ChainSumSource():
            return _made(lambda count: _chains(source, count, seed), split, wanted)
        case ReasoningGymSource():
            return _made(lambda count: _puzzles(source, count, seed), split, wanted)
        case Gsm8kSource():
            rows = _official(source.folder, GSM8K, "main", source.revision, split)
            return [_gsm8k(row) for row in rows]
        case Math500Source():
            return _math500(source, split)
        case HubSource():
            return _from_hub(source, split)
        case FileSource():
            return _from_files(source, split)
    assert_never(source)


# ---------------------------------------------------------------------------------------------- made as needed


def _made(make: Callable[[int], list[Problem]], split: Split, wanted: int) -> list[Problem]:
    """Generate problems until the split's share of them is enough, or until more attempts yield no more."""
    share = MADE_TEST_SHARE if split == "test" else 1 - MADE_TEST_SHARE
    count, before = int(wanted / share * 1.1) + 20, -1
    while True:
        problems = {problem.id: problem for problem in make(count)}
        mine = [one for one in problems.values() if for_testing(one.id, MADE_TEST_SHARE) == (split == "test")]
        if len(mine) >= wanted or len(mine) == before:
            return mine
        count, before = 2 * count, len(mine)


def _chains(source: ChainSumSource, count: int, seed: int) -> list[Problem]:
    terms = (source.min_terms, source.max_terms)
    there_are = sum(10**length for length in range(source.min_terms, source.max_terms + 1))
    return [
        Problem(problem_id(chain.question), chain.question, chain.answer, float(chain.terms))
        for chain in chain_sums(min(count, there_are), seed, terms)
    ]


def _puzzles(source: ReasoningGymSource, count: int, seed: int) -> list[Problem]:
    require("reasoning_gym", "data", "The source reasoning-gym")
    import reasoning_gym
    from reasoning_gym.factory import DATASETS

    if source.task not in DATASETS:
        close = difflib.get_close_matches(source.task, DATASETS, n=3, cutoff=0.4) or sorted(DATASETS)[:5]
        raise UserError(f"reasoning-gym has no task {source.task!r}.", f"Did you mean {', '.join(close)}?")
    try:
        entries = reasoning_gym.create_dataset(source.task, size=count, seed=seed, **source.options)
    except (TypeError, ValueError, AssertionError) as error:
        raise UserError(f"reasoning-gym cannot make {source.task} ({error}).", "Fix its `options`.") from error
    return [_puzzle(entry) for entry in entries]


def _puzzle(entry: dict[str, Any]) -> Problem:
    """Make a problem of an entry; one without a reference answer keeps an empty one, which no grader accepts."""
    question, answer = str(entry["question"]), entry["answer"]
    return Problem(problem_id(question), question, "" if answer is None else str(answer), _measure(entry["metadata"]))


def _measure(metadata: dict[str, Any]) -> float | None:
    """Return the task's own number for an entry's difficulty: `difficulty`, or the first quantity named there."""
    difficulty = metadata.get("difficulty")
    names = difficulty if isinstance(difficulty, dict) else {}
    for value in (difficulty, *(metadata.get(name) for name in names)):
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
    return None


# ------------------------------------------------------------------------------------------------- rows of files


def _official(folder: str | None, id: str, config: str | None, revision: str, split: Split) -> Iterable[Row]:
    return hub_rows(id, config, revision, split) if folder is None else read_rows(split_file(Path(folder), split))


def _gsm8k(row: Row) -> Problem:
    """Make a problem of a row: the gold answer follows `####`, thousands separators removed."""
    problem = _problem(row, "question", "answer", None)
    gold = problem.answer.rpartition("####")[2].strip().replace(",", "")
    if not gold:
        raise _no_answer(row, "answer")
    return Problem(problem.id, problem.question, gold)


def _math500(source: Math500Source, split: Split) -> list[Problem]:
    if split == "train":
        raise UserError(
            "MATH-500 has no training split.", "Keep it as a suite, and train on another source, such as gsm8k or hub."
        )
    rows = _official(source.folder, MATH500, None, source.revision, split)
    return [_problem(row, "problem", "answer", "level") for row in rows]


def _from_hub(source: HubSource, split: Split) -> list[Problem]:
    name = source.train_split if split == "train" or source.test_split is None else source.test_split
    if name is None:
        raise UserError(f"{source.id} has no training split configured.", "Set `train_split`.")
    rows = hub_rows(source.id, source.config, source.revision, name)
    problems = [_problem(row, source.question, source.answer, source.difficulty) for row in rows]
    return problems if source.test_split is not None else [*_share(problems, split)]


def _from_files(source: FileSource, split: Split) -> list[Problem]:
    path = source.path if split == "train" or source.test_path is None else source.test_path
    rows = read_rows(Path(path))
    problems = [
        _problem(row, source.question or _question_column(row), source.answer, source.difficulty) for row in rows
    ]
    return problems if source.test_path is not None else [*_share(problems, split)]


def _question_column(row: Row) -> str:
    return "problem" if "problem" in row.fields and "question" not in row.fields else "question"


def _share(problems: Iterable[Problem], split: Split) -> Iterator[Problem]:
    return (problem for problem in problems if for_testing(problem.id, TEST_SHARE) == (split == "test"))


def _problem(row: Row, question: str, answer: str, difficulty: str | None) -> Problem:
    text = _text(row, question)
    measure = _field(row, difficulty) if difficulty else None
    if measure is not None and not isinstance(measure, (int, float)):
        raise UserError(f"In {row.place}, {difficulty} is {measure!r}, which is not a number.", "Write it as a number.")
    return Problem(problem_id(text), text, _text(row, answer), None if measure is None else float(measure))


def _text(row: Row, column: str) -> str:
    value = _field(row, column)
    if value is None or str(value).strip() in ("", "nan"):
        raise _no_answer(row, column)
    if isinstance(value, (str, int, float)):
        return str(value).strip()
    raise UserError(
        f"In {row.place}, {column} is {value!r:.60}, which is neither text nor a number.",
        "Write it as text or a number.",
    )


def _field(row: Row, column: str) -> Any:
    if column not in row.fields:
        raise UserError(
            f"{row.place} has no column {column!r}; it has {', '.join(map(repr, row.fields))}.",
            "Correct the column names in the experiment's source.",
        )
    return row.fields[column]


def _no_answer(row: Row, column: str) -> UserError:
    return UserError(f"{row.place} has no {column}.", "Fill it in, or remove the row.")
