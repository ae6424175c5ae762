"""Rows of a user's own files: JSON lines or Parquet, each row known by its place."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from effreason.errors import UserError

SUFFIXES = (".jsonl", ".parquet")


class Row(NamedTuple):
    """One row of a source as it was written. Made by `local` and `hub_rows`; read by `sources`."""

    place: str
    """The place in the source, such as `data.jsonl, line 3`."""
    fields: Mapping[str, Any]


def split_file(folder: Path, split: str) -> Path:
    """Return the file of a split in a folder. Raises `UserError` where there is none."""
    for suffix in SUFFIXES:
        if (path := folder / f"{split}{suffix}").is_file():
            return path
    raise UserError(
        f"The folder {folder} has neither {split}.jsonl nor {split}.parquet.",
        "Correct `folder`, or put the file there.",
    )


def read_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a file in order. Raises `UserError` when it cannot be read."""
    readers = {".jsonl": _json_lines, ".parquet": _parquet}
    if path.suffix not in readers:
        raise UserError(f"{path} is neither .jsonl nor .parquet.", "Convert the file to one of these.")
    try:
        yield from readers[path.suffix](path)
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, not Parquet
        raise UserError(f"{path} cannot be read ({error}).", "Check the file, or create it again.") from error


def _json_lines(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield Row(f"{path}, line {number}", _object(line, path, number))


def _object(line: str, path: Path, number: int) -> dict[str, Any]:
    try:
        fields = json.loads(line)
        if "\\ud" in line.lower():  # half of a surrogate pair is no character, and cannot be written
            json.dumps(fields, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}, line {number} is not JSON ({error}).", "Fix that line.") from error
    if not isinstance(fields, dict):
        raise UserError(f"{path}, line {number} is not a JSON object.", "Write every row as {…} on its own line.")
    return fields


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path) as file:
        number = 0
        for batch in file.iter_batches():
            for fields in batch.to_pylist():
                number += 1
                yield Row(f"{path}, row {number}", fields)
