"""The counts of every completion of an evaluation, and the table that keeps them."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from effreason.behaviour.classify import observe
from effreason.behaviour.kinds import KINDS
from effreason.records import JudgedCompletion

FILE = "behaviour.parquet"

SCHEMA = pa.schema(
    [
        ("suite", pa.string()),
        ("problem_id", pa.string()),
        ("sample", pa.int32()),
        *((kind, pa.int32()) for kind in KINDS),
    ]
)

Counts = NDArray[np.int64]
"""Completions × behaviours, in the order of the completions and of `KINDS`."""


def count(texts: Iterable[str], questions: Iterable[str | None]) -> Counts:
    """Count the behaviours of each text, one row per text; `questions` are those that they answer, None if unknown."""
    rows = [observe(text, question).counts for text, question in zip(texts, questions, strict=True)]
    return np.array(rows, dtype=np.int64).reshape(-1, len(KINDS))


def write_counts(path: Path, completions: Iterable[JudgedCompletion], questions: Mapping[str, str]) -> None:
    """Count and write every completion, in order; `questions` by problem id."""
    listed = list(completions)
    counted = count((each.text for each in listed), (questions.get(each.problem_id) for each in listed))
    columns: dict[str, object] = {
        "suite": [each.suite for each in listed],
        "problem_id": [each.problem_id for each in listed],
        "sample": [each.sample for each in listed],
        **{kind: counted[:, place] for place, kind in enumerate(KINDS)},
    }
    pq.write_table(pa.table(columns, schema=SCHEMA), path, compression="zstd")


def read_counts(path: Path) -> dict[str, Counts]:
    """Return the counts by suite, each in the order of the completions that `read_completions` gives."""
    table = pq.read_table(path, schema=SCHEMA)
    suites = pc.unique(table.column("suite")).to_pylist()
    return {suite: _counts(table.filter(pc.equal(table.column("suite"), suite))) for suite in suites}


def _counts(table: pa.Table) -> Counts:
    return np.stack([table.column(kind).to_numpy().astype(np.int64) for kind in KINDS], axis=1)
