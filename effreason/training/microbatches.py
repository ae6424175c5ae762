"""Rows of like length side by side, so that a forward pass spends little on padding and fits in memory."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from effreason.training.rollouts import Rollout

MicroBatch = dict[str, torch.Tensor]
"""What TRL's loss takes: prompts padded on the left, completions on the right.

prompt_ids, prompt_mask (rows, longest prompt) · completion_ids, completion_mask (rows, longest completion), int64 ·
advantages (rows,), float32 · num_items_in_batch (), the sampled tokens of the whole generation batch, which divide
the loss.
"""


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


def tensors(rows: Sequence[Rollout], pad_id: int, batch_tokens: int) -> MicroBatch:
    """The rows as TRL's loss takes them; `batch_tokens` are the sampled tokens of the whole generation batch."""
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
        "num_items_in_batch": torch.tensor(float(batch_tokens)),
    }


def _padded_ids(sequences: Sequence[Sequence[int]], pad_id: int, *, left: bool) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(len(sequence) for sequence in sequences)
    ids = np.full((len(sequences), width), pad_id, dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, sequence in enumerate(sequences):
        place = slice(width - len(sequence), width) if left else slice(0, len(sequence))
        ids[row, place] = sequence
        mask[row, place] = 1
    return torch.from_numpy(ids), torch.from_numpy(mask)
