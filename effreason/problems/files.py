"""The files of a Problems artifact: train.jsonl, validation.jsonl, suite-NAME.jsonl, dropped.jsonl."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from effreason.errors import StepFailure
from effreason.problems.splits import Dropped
from effreason.records import Problem

TRAIN = "train"
VALIDATION = "validation"
DROPPED_FILE = "dropped.jsonl"


def part_file(part: str) -> str:
    """Return the file name of `train`, of `validation`, or of a suite by its name."""
    return f"{part}.jsonl" if part in (TRAIN, VALIDATION) else f"suite-{part}.jsonl"


def write_part(folder: Path, part: str, problems: Iterable[Problem]) -> None:
    write_problems(folder / part_file(part), problems)


def read_part(folder: Path, part: str) -> list[Problem]:
    """Read the problems of `train`, of `validation`, or of a suite by its name, in the order of the draw."""
    return read_problems(folder / part_file(part))


def write_problems(path: Path, problems: Iterable[Problem]) -> None:
    """Write one JSON object per line."""
    _write_lines(path, (asdict(problem) for problem in problems))


def read_problems(path: Path) -> list[Problem]:
    """Read what `write_problems` wrote. Raises `StepFailure` when the file is missing or is anything else."""
    try:
        with path.open(encoding="utf-8") as lines:
            return [Problem(**json.loads(line)) for line in lines]
    except (OSError, ValueError, TypeError) as error:
        raise StepFailure(f"{path} holds no problems ({error}).", "Prepare the problems again.") from error


def write_dropped(folder: Path, dropped: Iterable[Dropped]) -> None:
    """Write one JSON object per line: part, reason and the problem."""
    _write_lines(
        folder / DROPPED_FILE, ({"part": drop.part, "reason": drop.reason, **asdict(drop.problem)} for drop in dropped)
    )


def _write_lines(path: Path, objects: Iterable[dict[str, object]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(fields, ensure_ascii=False) + "\n" for fields in objects)
