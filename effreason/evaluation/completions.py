"""The judged completions of an evaluation as Parquet, so that every later metric needs no GPU."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from effreason.records import JudgedCompletion, Verdict

FILE = "completions.parquet"

SCHEMA = pa.schema(
    [
        ("suite", pa.string()),
        ("problem_id", pa.string()),
        ("sample", pa.int32()),
        ("text", pa.string()),
        ("tokens", pa.int32()),
        ("truncated", pa.bool_()),
        ("verdict", pa.string()),
        ("extracted", pa.string()),
        ("tokens_thinking", pa.int32()),
    ]
)


@dataclass(frozen=True)
class Judged:
    """One suite's completions as columns of equal length. Made by `read_completions`; read by measures and the report.

    The samples of a problem lie in their order.
    """

    problem_ids: NDArray[np.str_]
    texts: list[str]
    tokens: NDArray[np.int64]
    truncated: NDArray[np.bool_]
    right: NDArray[np.bool_]
    judged: NDArray[np.bool_]
    """False where the grader could not judge."""
    extracted: list[str | None]
    tokens_thinking: NDArray[np.float64]
    """NaN where a completion marks no thinking, as in tables that were stored without this column."""

    def __len__(self) -> int:
        return len(self.tokens)

    def without_texts(self) -> Self:
        """Return the numbers alone, which take little memory."""
        return replace(self, texts=[""] * len(self))


def write_completions(path: Path, completions: Iterable[JudgedCompletion]) -> None:
    """Write every completion, in order."""
    rows = [asdict(completion) for completion in completions]
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), path, compression="zstd")


def read_completions(path: Path) -> dict[str, Judged]:
    """Read the completions by suite, both in the order in which they were written."""
    table = pq.read_table(path, schema=SCHEMA)
    suites = pc.unique(table.column("suite")).to_pylist()
    return {suite: _judged(table.filter(pc.equal(table.column("suite"), suite))) for suite in suites}


def _judged(table: pa.Table) -> Judged:
    verdict = table.column("verdict").to_numpy()
    return Judged(
        problem_ids=table.column("problem_id").to_numpy().astype(str),
        texts=table.column("text").to_pylist(),
        tokens=table.column("tokens").to_numpy().astype(np.int64),
        truncated=table.column("truncated").to_numpy(),
        right=np.asarray(verdict == Verdict.RIGHT.value, dtype=bool),
        judged=np.asarray(verdict != Verdict.UNJUDGED.value, dtype=bool),
        extracted=table.column("extracted").to_pylist(),
        tokens_thinking=table.column("tokens_thinking").cast(pa.float64()).fill_null(np.nan).to_numpy(),
    )
