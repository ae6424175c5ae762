"""What a training run leaves behind besides its weights: metrics.jsonl and completions.parquet.

Completions are written as they come, one row group a step, into parts; a part is closed when a checkpoint is taken, and
at the end the parts are joined. So memory is bounded by one step, and a checkpoint holds exactly the steps before it.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from effreason.training.metrics import StepMetrics
from effreason.training.rollouts import Rollout

METRICS = "metrics.jsonl"
COMPLETIONS = "completions.parquet"
PARTS = "completions"

SCHEMA = pa.schema(
    [
        ("step", pa.int32()),
        ("problem_id", pa.string()),
        ("sample", pa.int32()),
        ("text", pa.string()),
        ("tokens", pa.int32()),
        ("truncated", pa.bool_()),
        ("verdict", pa.string()),
        ("extracted", pa.string()),
        ("reward", pa.float64()),
        ("advantage", pa.float64()),
    ]
)


class Ledger:
    """The record of a training run in a folder of its own; it continues whatever the folder holds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.parts = folder / PARTS
        self.parts.mkdir(parents=True, exist_ok=True)
        self.writer: pq.ParquetWriter | None = None
        self.lines = list(self._lines())
        """The lines of metrics.jsonl."""

    @property
    def generated_tokens(self) -> int:
        return sum(int(line["generated_tokens"] or 0) for line in self.lines)

    @property
    def seconds(self) -> float:
        return sum(line["seconds"] or 0.0 for line in self.lines)

    def _lines(self) -> Iterator[dict[str, float | None]]:
        path = self.folder / METRICS
        if path.exists():
            yield from map(json.loads, path.read_text().splitlines())

    def record(self, metrics: StepMetrics, rollouts: list[Rollout]) -> None:
        """Write one step."""
        line = metrics.line()
        with (self.folder / METRICS).open("a") as file:
            file.write(json.dumps(line, allow_nan=False) + "\n")
        self.lines.append(line)
        if self.writer is None:
            self.writer = pq.ParquetWriter(self.parts / f"{metrics.step:06d}.parquet", SCHEMA, compression="zstd")
        self.writer.write_table(_table(metrics.step, rollouts))

    def copy_to(self, folder: Path) -> None:
        """Close the part and copy all that was written."""
        self._close()
        shutil.copytree(self.folder, folder)

    def finish(self, folder: Path) -> None:
        """Write metrics.jsonl and completions.parquet as they are to be kept."""
        self._close()
        shutil.copyfile(self.folder / METRICS, folder / METRICS)
        with pq.ParquetWriter(folder / COMPLETIONS, SCHEMA, compression="zstd") as writer:
            for part in map(pq.ParquetFile, sorted(self.parts.iterdir())):
                for index in range(part.num_row_groups):
                    writer.write_table(part.read_row_group(index))

    def _close(self) -> None:
        if self.writer is not None:
            self.writer.close()
            self.writer = None


def _table(step: int, rollouts: list[Rollout]) -> pa.Table:
    rows = [
        {
            "step": step,
            "problem_id": rollout.question.problem.id,
            "sample": rollout.sample,
            "text": rollout.completion.text,
            "tokens": rollout.completion.tokens,
            "truncated": rollout.completion.truncated,
            "verdict": rollout.judgement.verdict.value,
            "extracted": rollout.judgement.extracted,
            "reward": rollout.reward,
            "advantage": rollout.advantage,
        }
        for rollout in rollouts
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)
