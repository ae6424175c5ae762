"""Truncated importance sampling for completions that another engine has drawn than the one that learns from them.

Even with equal weights an engine rounds otherwise, so that it samples from mu where the trainer computes pi. Each term
of the policy gradient is weighed by min(pi / mu, cap), of the token (Yao et al. 2025) or of the whole completion
(Ionides 2008, "Truncated Importance Sampling"). pi is the policy before the first update of the step: what updates add
is for the clipped ratio.

The weight multiplies advantages. It is never negative, and the clipped objective is min(r·A, clip(r)·A), so that this
is the same as to multiply the objective; KL in the loss and a value model's targets stay as they are.
"""

from dataclasses import dataclass

import torch

from effreason.choices import OwnSampler, SequenceTruncated, SftShortest, TokenTruncated
from effreason.specs import Training
from effreason.training.microbatches import MicroBatch

Truncated = TokenTruncated | SequenceTruncated


@dataclass(frozen=True, slots=True)
class Weighing:
    """The sum and the truncation of the weights of some tokens. Made by `corrected`; read by the metrics."""

    total: float
    """The sum of the weights over tokens."""
    truncated: int
    """The number of tokens whose ratio was beyond the cap."""
    tokens: int


def correction_of(training: Training) -> Truncated | None:
    """Return the correction; None where the own sampler draws, the algorithm has no ratio, or none is chosen."""
    exact = isinstance(training.engine, OwnSampler) or isinstance(training.algorithm, SftShortest)
    wanted = training.correction
    return wanted if isinstance(wanted, Truncated) and not exact else None


def corrected(micro_batch: MicroBatch, correction: Truncated) -> Weighing:
    """Multiply the advantages of a micro-batch, in place, by the weights of its tokens."""
    mask, advantages = micro_batch["completion_mask"], micro_batch["advantages"]
    trainer, engine = micro_batch["old_per_token_logps"], micro_batch["engine_log_probabilities"]
    found = weights(correction, trainer, engine, mask)
    micro_batch["advantages"] = (advantages if advantages.dim() == 2 else advantages[:, None]) * found
    capped = int(((found >= correction.cap) * mask).sum())
    return Weighing(float((found * mask).sum()), capped, int(mask.sum()))


def weights(correction: Truncated, trainer: torch.Tensor, engine: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return the weight of every token, (rows, longest completion), from 0 to the cap.

    `trainer` and `engine` are the log-probabilities of the same tokens, temperature included; `mask` is 1 where there
    is a token.
    """
    log_ratios = (trainer - engine) * mask
    if isinstance(correction, SequenceTruncated):
        log_ratios = log_ratios.sum(dim=1, keepdim=True).expand_as(log_ratios)
    return log_ratios.exp().clamp(max=correction.cap)
