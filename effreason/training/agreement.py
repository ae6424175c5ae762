"""Whether the engine that samples holds the weights that are trained: its log-probabilities beside the trainer's.

An engine with old weights raises no error and spoils a training slowly. Where its completions say how likely they were,
a few of every step are scored by the trainer as well.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from effreason.errors import StepFailure
from effreason.specs import Training
from effreason.training.rollouts import Rollout


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Nats a token, the alarm never beyond the stop. Made by `tolerance_of`."""

    alarm_nats: float
    stop_nats: float


FINE, COARSE = Tolerance(0.001, 0.005), Tolerance(0.02, 0.05)
"""Where rounding is float32's, and where it may be bfloat16's. In float32 engines that hold the weights are 1e-6 apart;
one that missed a single update of the built-in reasoner (at a rate of 3e-4) is 7e-3 away."""


def tolerance_of(training: Training, device: str) -> Tolerance:
    """Those that the training names; the others by how finely a device of this type computes, so far as the alarm stays
    within the stop."""
    usual = FINE if device == "cpu" and training.precision != "bfloat16" else COARSE
    asked = training.agreement
    stop_nats = asked.stop_nats or max(usual.stop_nats, asked.alarm_nats or 0)
    return Tolerance(asked.alarm_nats or min(usual.alarm_nats, stop_nats), stop_nats)


@dataclass(frozen=True, slots=True)
class Gap:
    """How far trainer and engine are apart. Made by `gap`; read by the trainer and the metrics."""

    total_nats: float
    """The sum over tokens of the absolute difference of their log-probabilities."""
    most_nats: float
    tokens: int

    @property
    def mean_nats(self) -> float:
        """A token."""
        return self.total_nats / self.tokens


def compared(rollouts: Sequence[Rollout], sequences: int) -> list[Rollout]:
    """At most so many of the rollouts, spread over the step; none where the engine was not asked how likely they
    were."""
    scored = [rollout for rollout in rollouts if rollout.completion.log_probabilities is not None]
    return scored[:: -(-len(scored) // sequences)] if scored else []


def gap(trainer: torch.Tensor, engine: torch.Tensor, mask: torch.Tensor) -> Gap:
    """Of log-probabilities, (rows, longest completion) each; `mask` is 1 where there is a token."""
    differences = ((trainer - engine) * mask).abs()
    return Gap(float(differences.sum()), float(differences.max()), int(mask.sum()))


def joined(gaps: Iterable[Gap]) -> Gap:
    """Of the tokens of all gaps, of which there is at least one."""
    parts = list(gaps)
    most = max(part.most_nats for part in parts)
    return Gap(sum(part.total_nats for part in parts), most, sum(part.tokens for part in parts))


def refuse_disagreement(found: Gap, tolerance: Tolerance, step: int) -> None:
    """Raise `StepFailure` beyond the hard limit. What is no number at all is beyond every limit."""
    if not found.mean_nats <= tolerance.stop_nats:
        raise StepFailure(
            f"The completions of step {step} were not drawn by the weights that are trained: engine and trainer are "
            f"{found.mean_nats:.3g} nats a token apart, and {tolerance.stop_nats:g} is the limit.",
            "Look whether the engine takes the weights that it is given (versions, quantisation, a server that "
            "something else has loaded), or raise training.agreement.stop_nats if such rounding is to be expected.",
        )


def alarm(mean_nats: float | None, tolerance: Tolerance) -> str | None:
    """A sentence beyond the soft limit."""
    if mean_nats is None or mean_nats <= tolerance.alarm_nats:
        return None
    return (
        f"Engine and trainer are {mean_nats:.3g} nats a token apart, more than {tolerance.alarm_nats:g}: "
        "the engine's weights may be old, or its rounding coarse."
    )
