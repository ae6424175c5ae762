"""PPO with a learned value head: "Proximal Policy Optimization Algorithms" (Schulman et al. 2017, arXiv 1707.06347), as
Ouyang et al. (2022, arXiv 2203.02155) apply it to language models.

The head is a linear map of the policy's last hidden states; its loss reaches the layers below as well. Departures:
1. KL in the reward is charged with the last token, where they charge it token by token;
2. the value before a completion's first token is that of its prompt, and after its last token 0, also where the token
   limit cut it off: a truncated completion is wrong, not unfinished.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import distributed

from effreason.choices import Ppo
from effreason.training.gae import Floats, gae, whitened
from effreason.training.microbatches import MicroBatch, Totals, deal, tensors
from effreason.training.rollouts import Batch, Rollout
from effreason.training.setting import Setting
from effreason.training.trainer import GroupTrainer, OnStep

VALUE_HEAD = "value_head.safetensors"


@dataclass(frozen=True, slots=True)
class Critique:
    """Values, advantages and returns of a completion before the update, (tokens,) each. Made and read by the
    trainer."""

    values: Floats
    advantages: Floats
    """Token advantages, whitened over the batch."""
    returns: Floats
    """The targets of the values."""


Place = tuple[int, int]
"""Group and sample of a completion within its step."""


class PpoTrainer(GroupTrainer):
    """Trains a model and a value head on the batches of a collector."""

    def __init__(self, setting: Setting, on_step: OnStep) -> None:
        super().__init__(setting, on_step)
        assert isinstance(self.training.algorithm, Ppo)  # noqa: S101  `run` chooses the trainer by it
        self.ppo = self.training.algorithm
        torch.manual_seed(setting.spec.seed)
        self.head = torch.nn.Linear(self.model.config.hidden_size, 1).to(self.args.device)
        self.critiques: dict[Place, Critique] = {}
        self.hidden = torch.empty(0)
        self._backbone().register_forward_hook(self._see)

    def _backbone(self) -> torch.nn.Module:
        model = self.model.get_base_model() if isinstance(self.model, PeftModel) else self.model
        backbone: torch.nn.Module = model.base_model
        return backbone

    def _see(self, _: torch.nn.Module, __: object, output: object) -> None:
        """Keep the last hidden states of the forward pass that is under way: (rows, prompt and completion, hidden)."""
        self.hidden = output.last_hidden_state  # type: ignore[attr-defined]

    def _values(self, tokens: int) -> torch.Tensor:
        """Return the value before each of the newest pass's last `tokens` tokens: (rows, tokens), float32."""
        states, self.hidden = self.hidden[:, -tokens - 1 : -1].float(), torch.empty(0)
        values: torch.Tensor = self.head(states)[..., 0]
        return values

    def create_optimizer(self, *arguments: object, **options: object) -> torch.optim.Optimizer:
        optimizer: torch.optim.Optimizer = super().create_optimizer(*arguments, **options)
        rate = self.ppo.value_learning_rate
        optimizer.add_param_group({"params": list(self.head.parameters()), "lr": rate, "weight_decay": 0.0})
        return optimizer

    def _credited(self, batch: Batch) -> Batch:
        """Compute values and advantages; return the batch with the mean advantage of each completion's tokens."""
        batch = super()._credited(batch)
        values = self._all_values(batch.rollouts)
        self.critiques = dict(self._critiques(batch.rollouts, values))
        return replace(batch, groups=[[self._with_mean(one) for one in group] for group in batch.groups])

    def _with_mean(self, rollout: Rollout) -> Rollout:
        critique = self.critiques.get((rollout.group, rollout.sample))
        return replace(rollout, advantage=float(critique.advantages.mean()) if critique else 0.0)

    def training_step(
        self, model: torch.nn.Module, inputs: dict[str, int], num_items_in_batch: torch.Tensor | None = None
    ) -> torch.Tensor:
        self.head.zero_grad()  # the loop does so for the model alone
        return super().training_step(model, inputs, num_items_in_batch)

    @torch.no_grad()
    def _all_values(self, rollouts: list[Rollout]) -> dict[Place, Floats]:
        """Return the values of every completion, gathered over processes."""
        mine: dict[Place, Floats] = {}
        for rows in deal(rollouts, self._padded_tokens(), self.setting.world):
            micro_batch = self._prepare_input(tensors(rows, self._tokenizer.pad_token_id, Totals(1, 1, 1)))
            self._log_probabilities(self.model, micro_batch)
            values = self._values(micro_batch["completion_ids"].shape[1]).double().cpu().numpy()
            for row, line in zip(rows, values, strict=True):
                mine[row.group, row.sample] = line[: len(row.completion.token_ids)].copy()
        return {place: line for part in self.setting.world.gather([mine]) for place, line in part.items()}

    def _critiques(self, rollouts: list[Rollout], values: dict[Place, Floats]) -> Iterator[tuple[Place, Critique]]:
        judged = [one for one in rollouts if one.reward is not None]
        old = [values[one.group, one.sample] for one in judged]
        raw = [
            gae(line, one.advantage, self.ppo.discount, self.ppo.gae_lambda)
            for one, line in zip(judged, old, strict=True)
        ]
        for one, line, own, advantages in zip(judged, old, raw, whitened(raw), strict=True):
            yield (one.group, one.sample), Critique(line, advantages, own + line)

    def _learned_from(self, rollouts: list[Rollout]) -> list[Rollout]:
        """Return all judged completions: the values learn from every one."""
        return [one for one in rollouts if one.reward is not None] or [replace(rollouts[0], advantage=0.0)]

    def _tensors(self, rows: list[Rollout], totals: Totals) -> MicroBatch:
        micro_batch = super()._tensors(rows, totals)
        width = micro_batch["completion_ids"].shape[1]
        critiques = [self._critique(row) for row in rows]
        return {
            **micro_batch,
            "advantages": _padded([one.advantages for one in critiques], width),
            "returns": _padded([one.returns for one in critiques], width),
            "old_values": _padded([one.values for one in critiques], width),
            "value_share": torch.tensor(self.setting.world.size / totals.tokens),
        }

    def _critique(self, row: Rollout) -> Critique:
        """Return the critique of a row; a padding row gets zero advantages and its old values as targets."""
        found = self.critiques.get((row.group, row.sample))
        if found is None or row.advantage == 0:
            nothing = np.zeros(len(row.completion.token_ids))
            values = found.values if found else nothing
            return Critique(values, nothing, values)
        return found

    def _compute_loss(self, model: torch.nn.Module, inputs: MicroBatch) -> torch.Tensor:
        loss = super()._compute_loss(model, inputs)
        values = self._values(inputs["completion_ids"].shape[1])
        near = inputs["old_values"] + (values - inputs["old_values"]).clamp(-self.ppo.value_clip, self.ppo.value_clip)
        errors = torch.maximum((values - inputs["returns"]).square(), (near - inputs["returns"]).square())
        value_loss = 0.5 * (errors * inputs["completion_mask"]).sum() * inputs["value_share"]
        return loss + self.ppo.value_weight * value_loss

    def _clip_grad_norm(self, model: torch.nn.Module) -> torch.Tensor:
        if self.setting.world.size > 1:  # the head is no part of the model that averages its gradients
            for gradient in [parameter.grad for parameter in self.head.parameters() if parameter.grad is not None]:
                distributed.all_reduce(gradient)
                gradient /= self.setting.world.size
        return super()._clip_grad_norm(model)

    def _save_checkpoint(self, model: torch.nn.Module, trial: object) -> None:
        super()._save_checkpoint(model, trial)
        folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        if self.setting.world.first:
            save_file(self.head.state_dict(), folder / VALUE_HEAD)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None:
            self.head.load_state_dict(load_file(Path(checkpoint) / VALUE_HEAD))


def _padded(lines: list[Floats], width: int) -> torch.Tensor:
    """Return (lines, width), float32, zeros on the right."""
    padded = np.zeros((len(lines), width), dtype=np.float32)
    for row, line in enumerate(lines):
        padded[row, : len(line)] = line
    return torch.from_numpy(padded)
