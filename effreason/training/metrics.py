"""The figures of a training step: one JSON line each."""

import resource
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from statistics import fmean, pstdev
from typing import TypeVar

import torch

from effreason.records import Verdict
from effreason.training.agreement import Gap
from effreason.training.correction import Weighing
from effreason.training.rollouts import Batch, Rollout

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BatchFigures:
    """Figures of the completions that a step generated, and of their rewards."""

    reward: float
    """Mean over the judged completions, as are the accuracy and the lengths by verdict."""
    accuracy: float
    tokens: float
    """Mean over all completions."""
    tokens_right: float | None
    """Mean over the correct completions; None where there are none."""
    tokens_wrong: float | None
    truncated: float
    """Share of all completions."""
    unjudged: float
    """Share of all completions."""
    uninformative: float
    """Share of the groups in which every advantage is 0, so that they teach nothing."""
    advantage_spread: float
    """Standard deviation over all completions."""
    generated_tokens: int


@dataclass(frozen=True, slots=True)
class UpdateFigures:
    """Figures of the updates, over the tokens trained on: those whose advantage is not 0, or all with KL."""

    loss: float
    grad_norm: float
    """The norm before clipping."""
    entropy: float
    """Nats per token."""
    kl: float | None
    """Nats per token, to the starting model; None where none is kept."""
    clipped: float
    """Share of the tokens whose gradient the clip took away."""
    learning_rate: float


@dataclass(frozen=True, slots=True)
class FilterFigures:
    """The completions that the filter dropped from the updates, and the time that it saved."""

    filtered: float
    """Share of all completions."""
    filtered_tokens: int
    """Sampled tokens that no forward pass of the update saw."""
    seconds_filtered: float
    """The time that they would have taken at the rate at which the others passed."""


@dataclass(frozen=True, slots=True)
class EngineFigures:
    """The agreement between the engine that sampled and the trainer; None where the engine was not asked."""

    logprob_gap: float | None = None
    """Nats per token: the mean absolute difference over a few completions."""
    logprob_gap_most: float | None = None
    """Nats: the largest absolute difference of a token among them."""
    importance_weight: float | None = None
    """Mean over the tokens that were trained on; None where no correction is made."""
    importance_truncated: float | None = None
    """Share of those tokens whose weight was capped."""


def engine_figures(found: Gap | None, weighed: Sequence[Weighing]) -> EngineFigures:
    """Sum up the comparison and the weights of a step, over all processes."""
    tokens = sum(part.tokens for part in weighed)
    return EngineFigures(
        logprob_gap=found.mean_nats if found else None,
        logprob_gap_most=found.most_nats if found else None,
        importance_weight=sum(part.total for part in weighed) / tokens if tokens else None,
        importance_truncated=sum(part.truncated for part in weighed) / tokens if tokens else None,
    )


@dataclass(frozen=True, slots=True)
class StepMetrics:
    """One line of metrics.jsonl. Made by the trainer; read by the report."""

    step: int
    alpha: float
    batch: BatchFigures
    update: UpdateFigures
    filtered: FilterFigures
    engine: EngineFigures
    seconds_generate: float
    seconds_score: float
    seconds_update: float
    peak_memory_bytes: int
    """The most memory held until the end of this step: the GPU's, or this process's without a GPU."""

    @property
    def seconds(self) -> float:
        return self.seconds_generate + self.seconds_score + self.seconds_update

    def line(self) -> dict[str, float | None]:
        """Return all figures side by side, as they are written."""
        return {
            "step": self.step,
            "alpha": self.alpha,
            **{field.name: getattr(self.batch, field.name) for field in fields(self.batch)},
            **{field.name: getattr(self.update, field.name) for field in fields(self.update)},
            **{field.name: getattr(self.filtered, field.name) for field in fields(self.filtered)},
            **{field.name: getattr(self.engine, field.name) for field in fields(self.engine)},
            "seconds": self.seconds,
            "seconds_generate": self.seconds_generate,
            "seconds_score": self.seconds_score,
            "seconds_update": self.seconds_update,
            "tokens_per_second": self.batch.generated_tokens / max(self.seconds, 1e-9),
            "peak_memory_bytes": self.peak_memory_bytes,
        }


def batch_figures(batch: Batch) -> BatchFigures:
    """Sum up a batch of which at least one completion was judged."""
    rollouts = batch.rollouts
    rewards = [rollout.reward for rollout in rollouts if rollout.reward is not None]
    return BatchFigures(
        reward=fmean(rewards),
        accuracy=sum(_right(rollout) for rollout in rollouts) / len(rewards),
        tokens=fmean(rollout.completion.tokens for rollout in rollouts),
        tokens_right=_mean_tokens(filter(_right, rollouts)),
        tokens_wrong=_mean_tokens(rollout for rollout in rollouts if rollout.judgement.verdict is Verdict.WRONG),
        truncated=_share(rollouts, lambda rollout: rollout.completion.truncated),
        unjudged=_share(rollouts, lambda rollout: rollout.reward is None),
        uninformative=_share(batch.groups, lambda group: all(rollout.advantage == 0 for rollout in group)),
        advantage_spread=pstdev([rollout.advantage for rollout in rollouts]),
        generated_tokens=sum(rollout.completion.tokens for rollout in rollouts),
    )


def sampled_tokens(rollouts: list[Rollout]) -> int:
    """Return the number of tokens of all the completions."""
    return sum(len(rollout.completion.token_ids) for rollout in rollouts)


def filter_figures(rollouts: list[Rollout], passed: list[Rollout], update_seconds: float) -> FilterFigures:
    """Sum up what was dropped from a batch of which only `passed` went through the update."""
    seen = sampled_tokens(passed)
    tokens = sampled_tokens(rollouts) - seen
    return FilterFigures((len(rollouts) - len(passed)) / len(rollouts), tokens, update_seconds * tokens / max(1, seen))


def peak_memory_bytes() -> int:
    """Return the peak memory of the GPU if it is in use, else of this process."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # Linux counts in KiB


def mean_of_updates(updates: list[UpdateFigures]) -> UpdateFigures:
    """Average the updates of one step; the learning rate is that of the last."""
    kl = [update.kl for update in updates if update.kl is not None]
    return UpdateFigures(
        loss=fmean(update.loss for update in updates),
        grad_norm=fmean(update.grad_norm for update in updates),
        entropy=fmean(update.entropy for update in updates),
        kl=fmean(kl) if kl else None,
        clipped=fmean(update.clipped for update in updates),
        learning_rate=updates[-1].learning_rate,
    )


def _right(rollout: Rollout) -> bool:
    return rollout.judgement.verdict is Verdict.RIGHT


def _mean_tokens(rollouts: Iterable[Rollout]) -> float | None:
    tokens = [rollout.completion.tokens for rollout in rollouts]
    return fmean(tokens) if tokens else None


def _share(things: list[T], holds: Callable[[T], bool]) -> float:
    return sum(map(holds, things)) / len(things)
