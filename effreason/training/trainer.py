"""TRL's group trainer as the loop, with our completions, rewards and credit. The one module that imports TRL.

Overridden, and why:

    get_train_dataloader   numbers the updates: which problems a step takes is a function of its number alone
    training_step          generates at the first update of a step; cuts an update into micro-batches by padded tokens
    _prepare_inputs        a micro-batch is ready as it is, but for the reference model's log-probabilities
    _compute_loss          micro-batches of any size add up to the loss of the update, filtered or not
    _clip_grad_norm        stops at a gradient that is not finite, before the optimiser spreads it
    create_scheduler       warms up from the first update on, where the stock schedule spends it at a rate of 0
    log                    one line of our metrics per step, instead of TRL's averages and tables
    create_model_card, _send_telemetry    nothing is written beside a checkpoint, and nothing is sent

TRL's own remain the loss (ratio by token or sequence, PPO clip, KL in the loss), the optimiser and the checkpoints. Its
generation, rewards and advantages are never reached: they would encode texts again and see groups cut apart.

Departures from Arora & Zanette (2025), whose settings the preset `arora-zanette` follows otherwise (AdamW with betas
0.9 and 0.95, no weight decay, linear warm-up, then a constant rate):
1. KL in the reward is charged to a completion as a whole, where their code charges it token by token;
2. completions whose advantage is 0 are left out of the update unless KL is in the loss: they add nothing to the
   gradient, and still count in what the loss is divided by.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from itertools import chain
from pathlib import Path
from random import Random

import torch
from datasets import Dataset
from transformers.trainer_callback import PrinterCallback
from transformers.utils import logging
from trl import GRPOConfig, GRPOTrainer
from trl.trainer.utils import add_fused_lm_head

from effreason.choices import KlInLoss, KlInReward, SftShortest, TokenClip
from effreason.errors import StepFailure
from effreason.rewards.schedule import alpha_at
from effreason.specs import TrainSpec
from effreason.training.agreement import Gap, compared, gap, joined, refuse_disagreement, tolerance_of
from effreason.training.boundaries import Boundaries, Updates
from effreason.training.correction import Weighing, corrected, correction_of
from effreason.training.filtering import NOTHING, Thresholds, above, thresholds
from effreason.training.metrics import (
    StepMetrics,
    UpdateFigures,
    batch_figures,
    engine_figures,
    filter_figures,
    mean_of_updates,
    peak_memory_bytes,
    sampled_tokens,
)
from effreason.training.microbatches import MicroBatch, Totals, deal, share_of_update, tensors
from effreason.training.overlap import Ahead
from effreason.training.rollouts import Batch, Rollout, charged
from effreason.training.setting import Setting

CPU_MICROBATCH_TOKENS = 2048
"""The largest micro-batch on a CPU. Larger ones only leave the cache: 8 times as large is 1.6 times as slow for the
built-in model."""

CHECKPOINTING = "activation_checkpointing"
if CHECKPOINTING not in GRPOConfig.__dataclass_fields__:
    CHECKPOINTING = "gradient_checkpointing"  # as transformers 5.19 calls it, which vLLM's environment has

OnStep = Callable[[StepMetrics, list[Rollout]], None]
"""A callback after a step, before any checkpoint of it is taken."""


class GroupTrainer(GRPOTrainer):  # type: ignore[misc]  # TRL has no types
    """Trains a model on the batches of a collector."""

    def __init__(self, setting: Setting, on_step: OnStep) -> None:
        self.setting = setting
        self.training = setting.spec.training
        self.collector = setting.collector
        self.on_step = on_step
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        model = setting.model
        reference = setting.reference()
        self.ahead = Ahead.beside(setting) if self.training.overlap else None
        super().__init__(
            model=model,
            args=_arguments(setting.spec, setting.folder, model.device.type, setting.report_to),
            reward_funcs=_credited_by_the_collector,
            train_dataset=Dataset.from_dict({"prompt": [""]}),  # TRL wants one; the collector has the problems
            processing_class=setting.tokenizer,
            callbacks=[Boundaries(self.training, setting.keep, setting.stopping)],
        )
        self.remove_callback(PrinterCallback)  # it writes to standard output
        # Set after the fact: with beta > 0, TRL would load the reference again from the name in the model's config,
        # which says neither the revision nor the GGUF file.
        self.beta = self.training.kl.weight if isinstance(self.training.kl, KlInLoss) else 0.0
        self.ref_model = reference
        for frozen in (reference, self.ahead and self.ahead.policy):
            if frozen is not None:
                add_fused_lm_head(frozen, temperature=self.temperature)
        self.accuracies = list(setting.accuracies)
        self.batch = Batch(0.0, [], 0.0, 0.0)
        self.correction = correction_of(self.training)
        self.gap: Gap | None = None
        self.weighed: list[Weighing] = []
        self.updates: list[list[MicroBatch]] = []
        self.figures: list[UpdateFigures] = []
        self.clock = 0.0

    def get_train_dataloader(self) -> Updates:
        return Updates(self.training, lambda: self.state.global_step)

    def training_step(
        self, model: torch.nn.Module, inputs: dict[str, int], num_items_in_batch: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Make one update: generate first if it opens a step, then accumulate the gradient over its micro-batches."""
        step, turn = divmod(inputs["update"], self.training.updates_per_step)
        if turn == 0:
            self._begin(step + 1)
        loss = torch.zeros((), device=self.args.device)
        *others, last = self.updates[turn]
        for micro_batch in others:
            with self.accelerator.no_sync(model):
                loss += super().training_step(model, micro_batch, num_items_in_batch)
        loss += super().training_step(model, last, num_items_in_batch)
        if not torch.isfinite(loss):
            raise _diverged(f"The loss of step {step + 1} is {loss.item()}.")
        return loss

    def _begin(self, step: int) -> None:
        """Take the batch of `step` and lay out its updates."""
        self._seed_dropout(step)
        self.model.eval()
        stale = self.ahead is not None and self.ahead.busy
        self.batch = self._collect(step)
        self.accuracies.append(self.batch.accuracy)
        self.clock = time.perf_counter()
        self.figures = []
        self.gap = self._agreement(step, self._sampling_policy(stale))
        self.batch = self._credited(self.batch)
        self.updates = [self._micro_batches(groups) for groups in self._parts()]
        self._remember_the_sampling_policy(stale)
        self.weighed = self._corrected()
        if self.ahead is not None and self._overlaps(step):
            self.ahead.start(step + 1, self._alpha())

    def _seed_dropout(self, step: int) -> None:
        """Seed dropout by step and process, since a checkpoint stores the first process's random state alone."""
        torch.manual_seed(Random(f"{self.setting.spec.seed}/dropout/{step}/{self.setting.world.rank}").getrandbits(32))

    def _collect(self, step: int) -> Batch:
        if self.ahead is not None and self.ahead.busy:
            return self.ahead.take()
        with self._whole_weights():
            return self.collector.batch(step, self._alpha())

    def _alpha(self) -> float:
        """Return alpha for the next step."""
        return alpha_at(self.training.schedule, self.setting.spec.alpha, self.accuracies)

    def _overlaps(self, step: int) -> bool:
        """Return whether the next batch is made during the updates of this one: a checkpoint would not store it."""
        return step < self.training.steps and step % self.training.checkpoint_every != 0

    def _whole_weights(self) -> AbstractContextManager[None]:
        """Gather all weights on every process while the block runs, where they are sharded."""
        if self.is_fsdp_enabled:
            from torch.distributed.fsdp import FullyShardedDataParallel

            return FullyShardedDataParallel.summon_full_params(self.model_wrapped)
        return nullcontext()

    def _credited(self, batch: Batch) -> Batch:
        """Return the batch with KL charged to the rewards, where the settings ask for it."""
        if not isinstance(self.training.kl, KlInReward):
            return batch
        weight = self.training.kl.weight
        costs = {place: weight * ratio for place, ratio in self._log_ratios(batch.rollouts).items()}
        return charged(batch, costs, self.training.algorithm)

    def _log_ratios(self, rollouts: list[Rollout]) -> dict[tuple[int, int], float]:
        """Return the log-probability of each completion under the policy less that under the starting model, in
        nats, by group and sample."""
        ratios: dict[tuple[int, int], float] = {}
        totals = Totals(1, 1, 1)
        for rows in deal(rollouts, self._padded_tokens(), self.setting.world):
            micro_batch = self._prepare_input(tensors(rows, self._tokenizer.pad_token_id, totals))
            gap = self._log_probabilities(self.model, micro_batch) - self._reference_log_probabilities(micro_batch)
            sums = (gap * micro_batch["completion_mask"]).sum(dim=1).tolist()
            ratios |= {(row.group, row.sample): ratio for row, ratio in zip(rows, sums, strict=True)}
        return {place: ratio for part in self.setting.world.gather([ratios]) for place, ratio in part.items()}

    def _remember_the_sampling_policy(self, stale: bool) -> None:
        """Store the log-probabilities of the policy that sampled, for updates that start from another one.

        The first update of a step starts from the policy that sampled, unless the batch was made ahead.
        """
        if isinstance(self.training.algorithm, SftShortest):
            return
        policy = self._sampling_policy(stale)
        for update in self.updates if stale or self.correction else self.updates[1:]:
            for micro_batch in update:
                micro_batch["old_per_token_logps"] = self._log_probabilities(policy, micro_batch)

    def _sampling_policy(self, stale: bool) -> torch.nn.Module:
        policy: torch.nn.Module = self.ahead.policy if stale and self.ahead is not None else self.model
        return policy

    def _agreement(self, step: int, policy: torch.nn.Module) -> Gap | None:
        """Return the gap between the engine and the policy that it should have sampled from; None where it was not
        asked.

        Raises `StepFailure` where that is too far.
        """
        chosen = compared(self.batch.rollouts, self.training.agreement.sequences)
        if not chosen:
            return None
        mine = [self._gap(step, policy, rows) for rows in deal(chosen, self._padded_tokens(), self.setting.world)]
        found = joined(one for gaps in self.setting.world.gather([mine]) for one in gaps)
        refuse_disagreement(found, tolerance_of(self.training, self.model.device.type), step)
        return found

    def _gap(self, step: int, policy: torch.nn.Module, rows: list[Rollout]) -> Gap:
        micro_batch = self._prepare_input(tensors(rows, self._tokenizer.pad_token_id, Totals(1, 1, 1)))
        trainer = self._log_probabilities(policy, micro_batch)
        if not torch.isfinite(trainer[micro_batch["completion_mask"].bool()]).all():  # not for the engine to answer
            raise _diverged(f"The log-probabilities of step {step} are not finite.")
        return gap(trainer, micro_batch["engine_log_probabilities"], micro_batch["completion_mask"])

    def _corrected(self) -> list[Weighing]:
        """Weigh the advantages of every update and return the weighings of all processes."""
        if self.correction is None:
            return []
        mine = [corrected(micro_batch, self.correction) for update in self.updates for micro_batch in update]
        return [one for weighed in self.setting.world.gather([mine]) for one in weighed]

    def _parts(self) -> Iterator[list[list[Rollout]]]:
        """Yield the groups of each update."""
        size = self.training.prompts_per_step // self.training.updates_per_step
        for first in range(0, self.training.prompts_per_step, size):
            yield self.batch.groups[first : first + size]

    def _passed(self) -> list[Rollout]:
        """Return the rollouts that were trained on in this step, over all processes."""
        return [rollout for groups in self._parts() for rollout in self._learned_from(list(chain(*groups)))]

    def _micro_batches(self, groups: list[list[Rollout]]) -> list[MicroBatch]:
        rollouts = list(chain(*groups))
        totals = self._totals(rollouts)
        dealt = deal(self._learned_from(rollouts), self._padded_tokens(), self.setting.world)
        return [self._prepare_input(self._tensors(rows, totals)) for rows in dealt]

    def _learned_from(self, rollouts: list[Rollout]) -> list[Rollout]:
        """Return the rollouts that the filter keeps; with KL in the loss, every one is kept."""
        return rollouts if self.beta else above(rollouts, self._thresholds())

    def _thresholds(self) -> Thresholds:
        advantages = [one.advantage for one in self.batch.rollouts]
        return thresholds(self.training.filter, advantages, self.batch.alpha, self.training.completions_per_prompt)

    def _totals(self, rollouts: list[Rollout]) -> Totals:
        """Return the loss denominators of an update. Supervised learning counts only the samples it learns from."""
        everyone = self.batch.rollouts
        if isinstance(self.training.algorithm, SftShortest):
            rollouts, everyone = above(rollouts, NOTHING), above(everyone, NOTHING)
        return Totals(len(rollouts), sampled_tokens(rollouts), sampled_tokens(everyone))

    def _tensors(self, rows: list[Rollout], totals: Totals) -> MicroBatch:
        micro_batch = tensors(rows, self._tokenizer.pad_token_id, totals)
        share = share_of_update(self.loss_type, micro_batch, totals)
        world = 1 if self.loss_type == "dapo" else self.setting.world.size  # gradients are averaged over processes
        return {**micro_batch, "share": torch.tensor(share * world)}

    def _padded_tokens(self) -> int:
        budget = self.training.tokens_per_microbatch
        return min(budget, CPU_MICROBATCH_TOKENS) if self.args.use_cpu else budget

    def _prepare_inputs(self, micro_batch: MicroBatch) -> MicroBatch:
        if self.beta:
            micro_batch["ref_per_token_logps"] = self._reference_log_probabilities(micro_batch)
        return micro_batch

    def _compute_loss(self, model: torch.nn.Module, inputs: MicroBatch) -> torch.Tensor:
        loss: torch.Tensor = super()._compute_loss(model, inputs)
        return loss * inputs["share"]

    def _reference_log_probabilities(self, micro_batch: MicroBatch) -> torch.Tensor:
        with nullcontext() if self.ref_model else self.model.disable_adapter():
            return self._log_probabilities(self.ref_model or self.model, micro_batch)

    @torch.no_grad()
    def _log_probabilities(self, model: torch.nn.Module, micro_batch: MicroBatch) -> torch.Tensor:
        """Return the log-probabilities of the completion tokens, (rows, longest completion), float32."""
        ids = torch.cat([micro_batch["prompt_ids"], micro_batch["completion_ids"]], dim=1)
        mask = torch.cat([micro_batch["prompt_mask"], micro_batch["completion_mask"]], dim=1)
        kept = micro_batch["completion_ids"].size(1)
        scored: torch.Tensor = self._get_per_token_logps_and_entropies(model, ids, mask, kept)[0]
        return scored

    def _clip_grad_norm(self, model: torch.nn.Module) -> torch.Tensor:
        norm: torch.Tensor = super()._clip_grad_norm(model)
        if not torch.isfinite(norm):
            raise _diverged(f"The gradient after {self.state.global_step} updates has the norm {float(norm)}.")
        return norm

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> torch.optim.lr_scheduler.LRScheduler:
        warmup = max(1, self.training.warmup_steps * self.training.updates_per_step)
        self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer or self.optimizer, lambda update: min(1.0, (update + 1) / warmup)
        )
        return self.lr_scheduler

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Collect an update's figures and end the step after its last; the loop's summary at the end is dropped."""
        if "grad_norm" not in logs:
            return
        turn = len(self.figures)
        self.figures.append(self._update_figures(logs, self.updates[turn]))
        self._metrics["train"].clear()
        if turn + 1 == self.training.updates_per_step:
            self._end(self.state.global_step // self.training.updates_per_step)

    def _update_figures(self, logs: dict[str, float], update: list[MicroBatch]) -> UpdateFigures:
        weights = [int(micro_batch["completion_mask"].sum()) for micro_batch in update]

        def mean(name: str) -> float:
            values = self._metrics["train"][name]
            return float(sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights))

        return UpdateFigures(
            loss=logs["loss"],
            grad_norm=logs["grad_norm"],
            entropy=mean("entropy"),
            kl=mean("kl") if self.beta else None,
            clipped=mean("clip_ratio/region_mean"),
            learning_rate=logs["learning_rate"],
        )

    def _end(self, step: int) -> None:
        parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        if not torch.isfinite(torch.nn.utils.get_total_norm(parameters)):
            raise _diverged(f"The weights after step {step} are not finite.")
        update_seconds = time.perf_counter() - self.clock
        metrics = StepMetrics(
            step=step,
            alpha=self.batch.alpha,
            batch=batch_figures(self.batch),
            update=mean_of_updates(self.figures),
            filtered=filter_figures(self.batch.rollouts, self._passed(), update_seconds),
            engine=engine_figures(self.gap, self.weighed),
            seconds_generate=self.batch.seconds_generate,
            seconds_score=self.batch.seconds_score,
            seconds_update=update_seconds,
            peak_memory_bytes=peak_memory_bytes(),
        )
        self.on_step(metrics, self.batch.rollouts)
        super(GRPOTrainer, self).log({key: value for key, value in metrics.line().items() if value is not None})

    def create_model_card(self, *_: object, **__: object) -> None:
        """Write nothing: the artifact's manifest says where a policy came from."""

    def _send_telemetry(self) -> None:
        """Send nothing: training runs report to their user alone."""


def _arguments(spec: TrainSpec, folder: Path, device: str, report_to: tuple[str, ...]) -> GRPOConfig:
    training = spec.training
    fast = device != "cpu" and torch.cuda.is_bf16_supported()
    return GRPOConfig(
        output_dir=str(folder),
        seed=spec.seed,
        max_steps=training.steps * training.updates_per_step,
        per_device_train_batch_size=training.completions_per_prompt,  # a formality: `Updates` has the batches
        steps_per_generation=training.updates_per_step,
        gradient_accumulation_steps=1,  # micro-batches are cut in `training_step`
        num_generations=training.completions_per_prompt,
        max_completion_length=training.max_tokens,
        temperature=training.temperature,
        learning_rate=training.learning_rate,
        adam_beta1=0.9,
        adam_beta2=0.95,
        weight_decay=0.0,
        max_grad_norm=training.max_grad_norm,
        epsilon=training.objective.low,
        epsilon_high=training.objective.high,
        importance_sampling_level="token" if isinstance(training.objective, TokenClip) else "sequence",
        beta=0.0,
        loss_type=training.loss,
        scale_rewards="none",
        bf16=training.precision == "bfloat16" or (training.precision == "auto" and fast),  # over float32 weights
        use_cpu=device == "cpu",
        **{CHECKPOINTING: training.gradient_checkpointing},
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="no",  # `Boundaries` decides
        ignore_data_skip=True,  # `Updates` does
        report_to=list(report_to) or "none",
        disable_tqdm=True,
    )


def _credited_by_the_collector(**_: object) -> list[float]:
    raise NotImplementedError("TRL wants a reward function; ours works on whole groups, in the collector.")


def _diverged(happened: str) -> StepFailure:
    return StepFailure(
        happened, "Lower learning_rate or max_grad_norm, or raise warmup_steps, and run the experiment again."
    )
