"""The batch of the next step, generated while the current one is learned from.

It is sampled by a copy of the policy as it stood before the update, so it is one step off-policy; the trainer corrects
for that by the ratio to the copy's log-probabilities. Worth it where generation leaves the processor or the GPU idle.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import torch
from transformers import PreTrainedModel

from effreason.generation.sampler import Sampler
from effreason.training.rollouts import Batch, Collector
from effreason.training.setting import Setting, frozen_copy


class Ahead:
    """Makes one batch ahead of its step."""

    def __init__(self, setting: Setting, policy: PreTrainedModel, collector: Collector) -> None:
        self.trained = setting.model
        self.policy = policy
        """The weights that the batch ahead was, or is being, sampled with."""
        self.collector = collector
        self.thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="rollouts")
        self.coming: Future[Batch] | None = None

    @classmethod
    def beside(cls, setting: Setting) -> "Ahead":
        """Return one that samples from a copy of the model in its present state."""
        policy = frozen_copy(setting.model)
        generator = setting.collector.generator
        eos_ids = generator.eos_ids if isinstance(generator, Sampler) else None
        sampler = Sampler(policy, setting.tokenizer, eos_ids, scored=True)
        return cls(setting, policy, replace(setting.collector, generator=sampler))

    @property
    def busy(self) -> bool:
        """Whether a batch is being made, or waits to be taken."""
        return self.coming is not None

    def start(self, step: int, alpha: float) -> None:
        """Begin the batch of `step` with the trained model's present weights."""
        with torch.no_grad():
            for ours, theirs in zip(self.policy.parameters(), self.trained.parameters(), strict=True):
                ours.copy_(theirs)
        self.coming = self.thread.submit(self.collector.batch, step, alpha)

    def take(self) -> Batch:
        """Wait for the batch that was started and return it."""
        assert self.coming is not None  # noqa: S101  `busy` tells
        coming, self.coming = self.coming, None
        return coming.result()
