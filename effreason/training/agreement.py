"""Whether the engine that samples holds the weights that are trained: its log-probabilities beside the trainer's.

An engine with old weights raises no error and slowly spoils a training run. If it reports log-probabilities, the
trainer scores a few completions of every step as well.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from effreason.errors import StepFailure
from effreason.specs import Training
from effreason.training.rollouts import Rollout


@dataclass(frozen=True, slots=True)
class Tolerance:
    """The gap that is tolerated, in nats per token; the alarm is never beyond the stop. Made by `tolerance_of`."""

    alarm_nats: float
    stop_nats: float


FINE, COARSE = Tolerance(0.001, 0.005), Tolerance(0.02, 0.05)
"""Tolerances where rounding is float32's, and where it may be bfloat16's. Float32 engines that hold the weights are
1e-6 apart; one that missed a single update of the built-in reasoner (at a rate of 3e-4) is 7e-3 away."""


def tolerance_of(training: Training, device: str) -> Tolerance:
    """Return the tolerances that the training settings name; any other follows from how finely a device of this type
    computes, as far as the alarm stays within the stop."""
    usual = FINE if device == "cpu" and training.precision != "bfloat16" else COARSE
    asked = training.agreement
    stop_nats = asked.stop_nats or max(usual.stop_nats, asked.alarm_nats or 0)
    return Tolerance(asked.alarm_nats or min(usual.alarm_nats, stop_nats), stop_nats)


@dataclass(frozen=True, slots=True)
class Gap:
    """The difference between trainer's and engine's log-probabilities. Made by `gap`; read by trainer and metrics."""

    total_nats: float
    """The sum over tokens of the absolute difference of their log-probabilities."""
    most_nats: float
    tokens: int

    @property
    def mean_nats(self) -> float:
        """The mean absolute difference, in nats per token."""
        return self.total_nats / self.tokens


def compared(rollouts: Sequence[Rollout], sequences: int) -> list[Rollout]:
    """Return at most `sequences` rollouts, spread over the step; none if the engine reports no log-probabilities."""
    scored = [rollout for rollout in rollouts if rollout.completion.log_probabilities is not None]
    return scored[:: -(-len(scored) // sequences)] if scored else []


def gap(trainer: torch.Tensor, engine: torch.Tensor, mask: torch.Tensor) -> Gap:
    """Compare two log-probability tensors, (rows, longest completion) each; `mask` is 1 where there is a token."""
    differences = ((trainer - engine) * mask).abs()
    return Gap(float(differences.sum()), float(differences.max()), int(mask.sum()))


def joined(gaps: Iterable[Gap]) -> Gap:
    """Merge gaps, weighting by tokens; at least one of them has a token."""
    parts = list(gaps)
    most = max(part.most_nats for part in parts)
    return Gap(sum(part.total_nats for part in parts), most, sum(part.tokens for part in parts))


def refuse_disagreement(found: Gap, tolerance: Tolerance, step: int) -> None:
    """Raise `StepFailure` if the gap exceeds the hard limit, as NaN does."""
    if not found.mean_nats <= tolerance.stop_nats:
        raise StepFailure(
            f"The completions of step {step} were not drawn from the weights being trained: engine and trainer "
            f"differ by {found.mean_nats:.3g} nats per token, above the limit of {tolerance.stop_nats:g}.",
            "Check that the generation engine loads the weights it is given (versions, quantisation, a server that "
            "something else has loaded), or raise training.agreement.stop_nats if such rounding is expected.",
        )


def alarm(mean_nats: float | None, tolerance: Tolerance) -> str | None:
    """Return a warning sentence if the gap exceeds the soft limit, else None."""
    if mean_nats is None or mean_nats <= tolerance.alarm_nats:
        return None
    return (
        f"Generation engine and trainer differ by {mean_nats:.3g} nats per token, more than {tolerance.alarm_nats:g}: "
        "the engine's weights may be stale, or its rounding coarse."
    )
