"""TRL's group trainer as the loop, with our completions, rewards and credit. The one module that imports TRL.

Overridden, and why:

    get_train_dataloader   numbers the updates: which problems a step takes is a function of its number alone
    training_step          generates at the first update of a step; cuts an update into micro-batches by padded tokens
    _prepare_inputs        a micro-batch is ready as it is, but for the reference model's log-probabilities
    _clip_grad_norm        stops at a gradient that is not finite, before the optimiser spreads it
    create_scheduler       warms up from the first update on, where the stock schedule spends it at a rate of 0
    log                    one line of our metrics a step, instead of TRL's averages and tables
    create_model_card, _send_telemetry    nothing is written beside a checkpoint, and nothing is sent

TRL's own remain the loss (token-level ratio, PPO clip, KL in the loss, divided by the tokens of the whole generation
batch: `dapo`), the optimiser and the checkpoints. Its generation, rewards and group-normalised advantages are never
reached: they would encode texts again, see groups cut apart, and divide by the group's spread.

Departures from Arora & Zanette (2025), whose settings are followed otherwise (AdamW with betas 0.9 and 0.95, no weight
decay, linear warm-up, then a constant rate):
1. advantages are not whitened over the batch;
2. KL is off by default, and where it is on it is a term of the loss, not of the reward;
3. completions whose advantage is 0 are left out of the update unless KL is on: they add nothing to the gradient, and
   still count in what the loss is divided by.
"""

import copy
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import torch
from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback, TrainerControl, TrainerState
from transformers.trainer_callback import PrinterCallback
from transformers.utils import logging
from trl import GRPOConfig, GRPOTrainer
from trl.trainer.utils import add_fused_lm_head

from effreason.choices import Lora
from effreason.errors import StepFailure
from effreason.specs import Training, TrainSpec
from effreason.training.metrics import StepMetrics, UpdateFigures, batch_figures, mean_of_updates
from effreason.training.microbatches import MicroBatch, pack, tensors
from effreason.training.rollouts import Batch, Collector, Rollout

CPU_MICROBATCH_TOKENS = 2048
"""On a CPU larger micro-batches only leave the cache: 8 times as large is 1.6 times as slow for the built-in model."""

OnStep = Callable[[StepMetrics, list[Rollout]], None]
"""Called when a step is done, before any checkpoint of it is taken."""

Keep = Callable[[int, Path], None]
"""Called with the number of the step and a folder from which the training can go on; the folder is removed after."""


class GroupTrainer(GRPOTrainer):  # type: ignore[misc]  # TRL has no types
    """Trains a model on the batches of a collector."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        spec: TrainSpec,
        collector: Collector,
        folder: Path,
        on_step: OnStep,
        keep: Keep,
        stopping: threading.Event,
    ) -> None:
        """`folder` takes the checkpoints before they are kept; `stopping` asks for one and for leaving after it."""
        training = spec.training
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        reference = _reference(model) if training.kl and not isinstance(training.weights, Lora) else None
        super().__init__(
            model=model,
            args=_arguments(spec, folder, model.device.type),
            reward_funcs=_credited_by_the_collector,
            train_dataset=Dataset.from_dict({"prompt": [""]}),  # TRL wants one; the collector has the problems
            processing_class=tokenizer,
            callbacks=[_Boundaries(training, keep, stopping)],
        )
        self.remove_callback(PrinterCallback)  # it writes to standard output
        self.spec = spec
        self.training = training
        self.collector = collector
        self.on_step = on_step
        # Set after the fact: with beta > 0, TRL would load the reference again from the name in the model's config,
        # which says neither the revision nor the GGUF file.
        self.beta = training.kl
        self.ref_model = reference
        if reference is not None:
            add_fused_lm_head(reference, temperature=self.temperature)
        self.batch = Batch([], 0.0, 0.0)
        self.updates: list[list[MicroBatch]] = []
        self.figures: list[UpdateFigures] = []
        self.clock = 0.0

    def get_train_dataloader(self) -> "Updates":
        return Updates(self)

    def training_step(
        self, model: torch.nn.Module, inputs: dict[str, int], num_items_in_batch: torch.Tensor | None = None
    ) -> torch.Tensor:
        """One update: generate first if it opens a step, then accumulate the gradient over its micro-batches."""
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
        """Generate the batch of `step` and lay out its updates."""
        self.model.eval()
        self.batch = self.collector.batch(step)
        self.clock = time.perf_counter()
        self.figures = []
        self.updates = [self._micro_batches(groups) for groups in self._parts()]
        for update in self.updates[1:]:  # the first is on-policy: its own log-probabilities are the old ones
            for micro_batch in update:
                micro_batch["old_per_token_logps"] = self._log_probabilities(self.model, micro_batch)

    def _parts(self) -> Iterator[list[list[Rollout]]]:
        """The groups of each update."""
        size = self.training.prompts_per_step // self.training.updates_per_step
        for first in range(0, self.training.prompts_per_step, size):
            yield self.batch.groups[first : first + size]

    def _micro_batches(self, groups: list[list[Rollout]]) -> list[MicroBatch]:
        rollouts = [rollout for group in groups for rollout in group]
        if not self.beta:
            # One row stays where all could go: its gradient of zero keeps the optimiser's state as it would be.
            rollouts = [rollout for rollout in rollouts if rollout.advantage] or rollouts[:1]
        budget = self.training.tokens_per_microbatch
        if self.args.use_cpu:
            budget = min(budget, CPU_MICROBATCH_TOKENS)
        sampled = sum(len(rollout.completion.token_ids) for rollout in self.batch.rollouts)
        return [
            self._prepare_input(tensors(rows, self._tokenizer.pad_token_id, sampled)) for rows in pack(rollouts, budget)
        ]

    def _prepare_inputs(self, micro_batch: MicroBatch) -> MicroBatch:
        if self.beta:
            with nullcontext() if self.ref_model else self.model.disable_adapter():
                micro_batch["ref_per_token_logps"] = self._log_probabilities(self.ref_model or self.model, micro_batch)
        return micro_batch

    @torch.no_grad()
    def _log_probabilities(self, model: torch.nn.Module, micro_batch: MicroBatch) -> torch.Tensor:
        """Of the completions' tokens: (rows, longest completion), float32."""
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
        """Called by the loop after every update, and with a summary at the end, which is of no use to us."""
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
        metrics = StepMetrics(
            step=step,
            alpha=self.collector.alpha,
            batch=batch_figures(self.batch),
            update=mean_of_updates(self.figures),
            seconds_generate=self.batch.seconds_generate,
            seconds_score=self.batch.seconds_score,
            seconds_update=time.perf_counter() - self.clock,
        )
        self.on_step(metrics, self.batch.rollouts)

    def create_model_card(self, *_: object, **__: object) -> None:
        """None: the artifact's manifest says where a policy came from."""

    def _send_telemetry(self) -> None:
        """None: a training tells nobody but its user."""


class Updates:
    """The numbers of the updates that remain, in place of a data loader."""

    def __init__(self, trainer: GroupTrainer) -> None:
        self.trainer = trainer

    def __len__(self) -> int:
        """All updates of the training: for the loop they are one epoch."""
        return self.trainer.training.steps * self.trainer.training.updates_per_step

    def __iter__(self) -> Iterator[dict[str, int]]:
        for update in range(self.trainer.state.global_step, len(self)):
            yield {"update": update}


class _Boundaries(TrainerCallback):  # type: ignore[misc]  # transformers is not followed by mypy
    """Takes checkpoints between the batches of two steps, where there is no batch to remember."""

    def __init__(self, training: Training, keep: Keep, stopping: threading.Event) -> None:
        self.training = training
        self.keep = keep
        self.stopping = stopping

    def on_step_end(self, args: GRPOConfig, state: TrainerState, control: TrainerControl, **_: object) -> None:
        step, turn = divmod(state.global_step, self.training.updates_per_step)
        if turn or step >= self.training.steps:
            return
        if self.stopping.is_set():
            control.should_save = control.should_training_stop = True
        elif step % self.training.checkpoint_every == 0:
            control.should_save = True

    def on_save(self, args: GRPOConfig, state: TrainerState, control: TrainerControl, **_: object) -> None:
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        self.keep(state.global_step // self.training.updates_per_step, folder)
        shutil.rmtree(folder)


def _arguments(spec: TrainSpec, folder: Path, device: str) -> GRPOConfig:
    training = spec.training
    fast = device != "cpu" and torch.cuda.is_bf16_supported()
    return GRPOConfig(
        output_dir=str(folder),
        seed=spec.seed,
        max_steps=training.steps * training.updates_per_step,
        per_device_train_batch_size=training.completions_per_step // training.updates_per_step,
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
        epsilon=training.clip,
        beta=0.0,
        loss_type="dapo",
        scale_rewards="none",
        bf16=training.precision == "bfloat16" or (training.precision == "auto" and fast),  # over float32 weights
        use_cpu=device == "cpu",
        activation_checkpointing=training.gradient_checkpointing,
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="no",  # `_Boundaries` decides
        ignore_data_skip=True,  # `Updates` does
        report_to="none",
        disable_tqdm=True,
    )


def _reference(model: PreTrainedModel) -> PreTrainedModel:
    """The model as it is before training, frozen."""
    return copy.deepcopy(model).eval().requires_grad_(False)


def _credited_by_the_collector(**_: object) -> list[float]:
    raise NotImplementedError("TRL wants a reward function; ours works on whole groups, in the collector.")


def _diverged(happened: str) -> StepFailure:
    return StepFailure(happened, "Lower learning_rate or max_grad_norm, or raise warmup_steps, and start it again.")
