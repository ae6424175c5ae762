"""Rows of like length side by side, so that a forward pass spends little on padding and fits in memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from effreason.training.rollouts import Rollout
from effreason.training.world import World

MicroBatch = dict[str, torch.Tensor]
"""What TRL's loss takes: prompts padded on the left, completions on the right.

prompt_ids, prompt_mask (rows, longest prompt) · completion_ids, completion_mask (rows, longest completion), int64 ·
advantages (rows,) or (rows, longest completion), float32 · num_items_in_batch (), the sampled tokens of the whole
generation batch. Besides, where the generator was asked: engine_log_probabilities (rows, longest completion), float32.
"""


@dataclass(frozen=True, slots=True)
class Totals:
    """The denominators of the losses: counts before the filter. Made and read by the trainer."""

    rows: int
    """Completions of the update."""
    tokens: int
    """Sampled tokens of the update."""
    batch_tokens: int
    """Sampled tokens of the whole generation batch."""


def deal(rollouts: Sequence[Rollout], padded_tokens: int, world: World) -> list[list[Rollout]]:
    """Return this process's micro-batches of an update; every process has as many, with as many rows each.

    Rollouts are dealt out by length, so that all processes have about the same work, and cut where the first process
    has to, whose rows are the longest. If the rows do not divide evenly, padding rows whose advantage is 0 fill up.
    """
    ordered = sorted(rollouts, key=_length, reverse=True)
    missing = -len(ordered) % world.size
    hand = iter(world.share([*ordered, *[replace(ordered[-1], advantage=0.0)] * missing]))
    first = World(0, world.size).share(ordered)
    return [[next(hand) for _ in rows] for rows in pack(first, padded_tokens)]


def pack(rollouts: Sequence[Rollout], padded_tokens: int) -> Iterator[list[Rollout]]:
    """Cut the rollouts, longest first, into micro-batches of at most `padded_tokens`, or of one row where a single
    row is longer."""
    rows: list[Rollout] = []
    prompt = 0
    for rollout in sorted(rollouts, key=_length, reverse=True):
        prompt = max(prompt, len(rollout.question.prompt_ids))
        if rows and (len(rows) + 1) * (prompt + _length(rows[0])) > padded_tokens:
            yield rows
            rows, prompt = [], len(rollout.question.prompt_ids)
        rows.append(rollout)
    if rows:
        yield rows


def _length(rollout: Rollout) -> int:
    return len(rollout.completion.token_ids)


def tensors(rows: Sequence[Rollout], pad_id: int, totals: Totals) -> MicroBatch:
    """Return the rows as TRL's loss takes them."""
    prompts = [row.question.prompt_ids for row in rows]
    completions = [row.completion.token_ids for row in rows]
    prompt_ids, prompt_mask = _padded_ids(prompts, pad_id, left=True)
    completion_ids, completion_mask = _padded_ids(completions, pad_id, left=False)
    return {
        "prompt_ids": prompt_ids,
        "prompt_mask": prompt_mask,
        "completion_ids": completion_ids,
        "completion_mask": completion_mask,
        "advantages": torch.tensor([row.advantage for row in rows], dtype=torch.float32),
        "num_items_in_batch": torch.tensor(float(totals.batch_tokens)),
        **_scores([row.completion.log_probabilities for row in rows], completion_ids.shape),
    }


def _scores(lines: Sequence[tuple[float, ...] | None], shape: torch.Size) -> MicroBatch:
    """Return the engine's log-probabilities, zeros on the right; nothing where one is missing."""
    scored = [line for line in lines if line is not None]
    if len(scored) < len(lines):
        return {}
    padded = np.zeros(shape, dtype=np.float32)
    for row, line in enumerate(scored):
        padded[row, : len(line)] = line
    return {"engine_log_probabilities": torch.from_numpy(padded)}


def share_of_update(loss: str, micro_batch: MicroBatch, totals: Totals) -> float:
    """Return the factor on TRL's loss of a micro-batch with which the micro-batches of an update add up to the loss of
    the update before anything was filtered out.

    TRL divides `dapo` by the generation batch; the other losses by the rows or tokens of the micro-batch.
    """
    match loss:
        case "dapo":
            return 1.0
        case "bnpo":
            return float(micro_batch["completion_mask"].sum()) / totals.tokens
        case _:
            return micro_batch["completion_ids"].shape[0] / totals.rows


def _padded_ids(sequences: Sequence[Sequence[int]], pad_id: int, *, left: bool) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(len(sequence) for sequence in sequences)
    ids = np.full((len(sequences), width), pad_id, dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, sequence in enumerate(sequences):
        place = slice(width - len(sequence), width) if left else slice(0, len(sequence))
        ids[row, place] = sequence
        mask[row, place] = 1
    return torch.from_numpy(ids), torch.from_numpy(mask)
