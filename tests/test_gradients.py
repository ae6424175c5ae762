"""The gradient of an update, against the formula written out and against TRL's own loss."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_training import Run, tiny_model, tiny_spec
from transformers import LlamaForCausalLM
from trl import GRPOTrainer

from effreason.choices import DropBelowAlpha, DropBelowSpread, DropZero, Filter, KeepAll, KlInLoss
from effreason.records import Verdict
from effreason.specs import TrainSpec
from effreason.training.filtering import thresholds
from effreason.training.microbatches import Totals, tensors
from effreason.training.rollouts import Rollout
from effreason.training.setting import Setting
from effreason.training.trainer import GroupTrainer


def by_hand(model: LlamaForCausalLM, old: LlamaForCausalLM, rollouts: list[Rollout], spec: TrainSpec, share: float):
    """The PPO clip objective of every token, one row at a time, without padding; its gradient by parameter."""
    model.zero_grad()
    loss = torch.zeros(())
    for rollout in rollouts:
        prompt, sampled = rollout.question.prompt_ids, rollout.completion.token_ids
        ids = torch.tensor([prompt + sampled])

        def log_probabilities(policy, ids=ids, prompt=prompt, sampled=sampled):
            logits = policy(input_ids=ids).logits[0, len(prompt) - 1 : -1] / spec.training.temperature
            return logits.log_softmax(-1)[range(len(sampled)), list(sampled)]

        with torch.no_grad():
            before = log_probabilities(old)
        ratio = (log_probabilities(model) - before).exp()
        clipped = ratio.clamp(1 - spec.training.objective.low, 1 + spec.training.objective.high)
        loss = loss - torch.minimum(ratio * rollout.advantage, clipped * rollout.advantage).sum() / share
    loss.backward()
    return loss.item(), {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize(("updates", "clip"), [(1, 0.2), (2, 0.2), (2, 0.001)])
def test_the_gradient_is_that_of_the_formula(tmp_path: Path, updates: int, clip: float) -> None:
    objective = {"kind": "token-clip", "low": clip, "high": clip}
    free = {"warmup_steps": 0, "max_grad_norm": 1e9, "filter": DropZero(), "temperature": 0.7}
    spec = tiny_spec(steps=1, updates_per_step=updates, objective=objective, **free)
    run = Run(tmp_path, spec)
    seen: list[tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]] = []

    def look(*_: object) -> None:
        state = {name: value.clone() for name, value in run.model.state_dict().items()}
        seen.append((state, {name: p.grad.clone() for name, p in run.model.named_parameters() if p.grad is not None}))

    losses: list[float] = []
    setting = Setting(run.model, run.tokenizer, spec, run.collector, tmp_path / "trainer", lambda step, folder: None)
    trainer = GroupTrainer(setting, lambda metrics, rollouts: losses.append(metrics.update.loss))
    trainer.create_optimizer().register_step_pre_hook(look)
    batch = run.collector.batch(1, spec.alpha)
    trainer.train()

    share = sum(len(rollout.completion.token_ids) for rollout in batch.rollouts) / updates
    size = len(batch.groups) // updates
    expected_losses = []
    for turn, (state, gradients) in enumerate(seen):
        policy = tiny_model()
        policy.load_state_dict(state)
        rows = [rollout for group in batch.groups[turn * size : (turn + 1) * size] for rollout in group]
        loss, expected = by_hand(policy, tiny_model(), rows, spec, share)
        expected_losses.append(loss)
        assert gradients.keys() == expected.keys()
        assert max(value.abs().max().item() for value in expected.values()) > 1e-3
        for name, gradient in gradients.items():
            torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-5)
    assert losses == pytest.approx([sum(expected_losses) / updates], abs=1e-5)


# ------------------------------------------------------------------------------- filtering and normalisation

LOSSES = ("dapo", "grpo", "dr_grpo", "bnpo")


def trainer_of(run: Run, folder: Path) -> GroupTrainer:
    setting = Setting(run.model, run.tokenizer, run.spec, run.collector, folder, lambda step, folder: None)
    return GroupTrainer(setting, lambda metrics, rollouts: None)


def gradient_of_one_update(folder: Path, spec: TrainSpec) -> dict[str, torch.Tensor]:
    """As the optimiser sees it, by parameter."""
    folder.mkdir()
    run = Run(folder, spec)
    seen: dict[str, torch.Tensor] = {}
    trainer = trainer_of(run, folder / "trainer")
    trainer.create_optimizer().register_step_pre_hook(
        lambda *_: seen.update({name: parameter.grad.clone() for name, parameter in run.model.named_parameters()})
    )
    trainer.train()
    return seen


def gradient_of_trl(folder: Path, spec: TrainSpec, rollouts: list[Rollout]) -> dict[str, torch.Tensor]:
    """By TRL's loss as it comes, all rows in one batch."""
    folder.mkdir()
    run = Run(folder, spec)
    trainer = trainer_of(run, folder / "trainer")
    trainer.current_gradient_accumulation_steps = 1
    sampled = sum(len(rollout.completion.token_ids) for rollout in rollouts)
    batch = tensors(rollouts, 0, Totals(len(rollouts), sampled, sampled))
    run.model.train()
    if trainer.beta:
        batch["ref_per_token_logps"] = trainer._reference_log_probabilities(batch)
    GRPOTrainer._compute_loss(trainer, run.model, batch).backward()
    return {name: parameter.grad.clone() for name, parameter in run.model.named_parameters()}


def relative_error(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> float:
    difference = torch.cat([(found[name] - expected[name]).flatten() for name in expected])
    return float(difference.norm() / torch.cat([gradient.flatten() for gradient in expected.values()]).norm())


@pytest.mark.parametrize("loss", LOSSES)
def test_an_update_in_many_micro_batches_has_the_gradient_of_trls_own_loss(tmp_path: Path, loss: str) -> None:
    spec = tiny_spec(steps=1, loss=loss, filter=KeepAll(), warmup_steps=0, max_grad_norm=1e9)
    rollouts = Run(tmp_path, spec).collector.batch(1, spec.alpha).rollouts
    expected = gradient_of_trl(tmp_path / "trl", spec, rollouts)
    assert relative_error(gradient_of_one_update(tmp_path / "ours", spec), expected) < 1e-5


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("choice", [DropZero(), DropBelowAlpha(threshold=1.0), DropBelowSpread(threshold=0.8)])
def test_filtering_is_the_same_as_an_advantage_of_zero(tmp_path: Path, loss: str, choice: Filter) -> None:
    spec = tiny_spec(steps=1, loss=loss, filter=choice, warmup_steps=0, max_grad_norm=1e9)
    batch = Run(tmp_path, spec).collector.batch(1, spec.alpha)
    advantages = [rollout.advantage for rollout in batch.rollouts]
    limits = thresholds(choice, advantages, spec.alpha, spec.training.completions_per_prompt)
    zeroed: list[Rollout] = []
    for group in batch.groups:
        mixed = {Verdict.RIGHT, Verdict.WRONG} <= {one.judgement.verdict for one in group}
        limit = limits.mixed if mixed else limits.alike
        zeroed += [one if abs(one.advantage) > limit else replace(one, advantage=0.0) for one in group]
    assert 0 < sum(one.advantage != 0 for one in zeroed) < len(zeroed)
    expected = gradient_of_trl(tmp_path / "trl", spec, zeroed)
    assert relative_error(gradient_of_one_update(tmp_path / "ours", spec), expected) < 1e-5


def test_with_kl_in_the_loss_every_row_is_kept(tmp_path: Path) -> None:
    spec = tiny_spec(steps=1, kl=KlInLoss(), filter=DropBelowSpread(threshold=0.8), warmup_steps=0)
    run = Run(tmp_path, spec)
    trainer = trainer_of(run, tmp_path / "trainer")
    trainer.train()
    assert sum(batch["completion_ids"].shape[0] for batch in trainer.updates[0]) == spec.training.completions_per_step


def test_a_batch_of_which_nothing_passes_the_filter_moves_no_weight(tmp_path: Path) -> None:
    gradient = gradient_of_one_update(tmp_path / "ours", tiny_spec(steps=1, filter=DropBelowSpread(threshold=99.0)))
    assert all(not value.any() for value in gradient.values())
