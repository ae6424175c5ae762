"""The training loop: TRL's trainer on a tiny random model, with the real sampler."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from peft import PeftModel
from tiny_training import Run, all_right, by_first_letter, metrics_of, questions, tiny_model, tiny_spec, weights_of
from transformers import LlamaForCausalLM
from trl import GRPOTrainer

from effreason.choices import Kl, KlInLoss, KlInReward, Lora, NoKl
from effreason.errors import StepFailure
from effreason.records import Judgement, Verdict
from effreason.training.rollouts import questions_of_step
from effreason.training.weights import save

# ---------------------------------------------------------------------------------------------- TRL's seams


@pytest.mark.parametrize(
    ("seam", "parameters"),
    [
        ("get_train_dataloader", ["self"]),
        ("training_step", ["self", "model", "inputs", "num_items_in_batch"]),
        ("_prepare_inputs", ["self", "generation_batch"]),
        ("_clip_grad_norm", ["self", "model"]),
        ("create_scheduler", ["self", "num_training_steps", "optimizer"]),
        ("log", ["self", "logs", "start_time"]),
        ("_send_telemetry", ["self"]),
        ("_compute_loss", ["self", "model", "inputs"]),
    ],
)
def test_the_seams_of_trl_that_the_trainer_stands_on_are_there(seam: str, parameters: list[str]) -> None:
    assert list(inspect.signature(getattr(GRPOTrainer, seam)).parameters) == parameters


# ------------------------------------------------------------------------------------------------- the batch


def test_every_epoch_asks_every_question_once_in_an_order_of_its_own() -> None:
    asked = [q.problem.id for step in range(1, 11) for q in questions_of_step(questions(), 2, seed=1, step=step)]
    epochs = [asked[first : first + 5] for first in range(0, 20, 5)]
    assert all(sorted(epoch) == ["p0", "p1", "p2", "p3", "p4"] for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_a_truncated_completion_is_wrong_whatever_the_grader_would_say(tmp_path: Path) -> None:
    batch = replace(Run(tmp_path, tiny_spec(max_tokens=3)).collector, grade=all_right).batch(1, 0.4)
    assert any(rollout.completion.truncated for rollout in batch.rollouts)
    for rollout in batch.rollouts:
        expected = Verdict.WRONG if rollout.completion.truncated else Verdict.RIGHT
        assert rollout.judgement.verdict is expected
        assert (rollout.reward == 0) is rollout.completion.truncated


# ------------------------------------------------------------------------------------------------- learning


def test_tokens_fall_when_short_answers_earn_more(tmp_path: Path) -> None:
    spec = tiny_spec(alpha=0.9, steps=15, completions_per_prompt=8, learning_rate=1e-2, checkpoint_every=100)
    lines = metrics_of(Run(tmp_path, spec)(all_right), tmp_path / "kept")
    tokens = [line["tokens"] for line in lines]
    assert sum(tokens[-3:]) < 0.6 * sum(tokens[:3])


def test_the_divergence_from_the_starting_model_is_kept_in_check_by_kl(tmp_path: Path) -> None:
    def divergence(kl: float) -> list[float]:
        spec = tiny_spec(
            alpha=0.9, steps=8, completions_per_prompt=8, kl={"kind": "loss", "weight": kl}, checkpoint_every=100
        )
        folder = tmp_path / str(kl)
        folder.mkdir()
        return [line["kl"] for line in metrics_of(Run(folder, spec)(all_right), folder / "kept")]

    loose, tight = divergence(1e-6), divergence(1.0)
    assert loose[0] == pytest.approx(0.0, abs=1e-6)
    assert 0 < tight[-1] < 0.5 * loose[-1]


def test_a_group_that_teaches_nothing_leaves_the_weights_alone(tmp_path: Path) -> None:
    run = Run(tmp_path, tiny_spec(alpha=0.0, steps=2))
    before = weights_of(run.model)
    lines = metrics_of(run(lambda pairs: [Judgement(Verdict.WRONG, None) for _ in pairs]), tmp_path / "kept")
    assert [line["uninformative"] for line in lines] == [1.0, 1.0]
    assert torch.equal(weights_of(run.model), before)


# ----------------------------------------------------------------------------------------- what is left behind


def test_every_step_leaves_its_figures_and_its_completions(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = Run(tmp_path, tiny_spec(updates_per_step=2))
    lines = metrics_of(run(), tmp_path / "kept")
    rows = pq.read_table(tmp_path / "kept" / "completions.parquet").to_pylist()
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5]
    assert len(rows) == 5 * 16
    for line in lines:
        of_step = [row for row in rows if row["step"] == line["step"]]
        judged = [row for row in of_step if row["reward"] is not None]
        right = [row for row in of_step if row["verdict"] == "right"]
        assert line["reward"] == pytest.approx(sum(row["reward"] for row in judged) / len(judged))
        assert line["accuracy"] == pytest.approx(len(right) / len(judged))
        assert line["unjudged"] == pytest.approx(1 - len(judged) / 16)
        assert line["generated_tokens"] == sum(row["tokens"] for row in of_step)
        assert line["grad_norm"] > 0
        assert line["alpha"] == 0.4
    assert [line["learning_rate"] for line in lines] == pytest.approx([0.0015, 0.003, 0.003, 0.003, 0.003])
    assert [(told.done, told.total) for told in run.told] == [(step, 5) for step in range(1, 6)]
    assert capfd.readouterr().out == ""


def test_a_policy_is_read_back_as_a_plain_model(tmp_path: Path) -> None:
    run = Run(tmp_path, tiny_spec(steps=1))
    run()
    save(run.model, run.tokenizer, run.spec, tmp_path / "model")
    read = LlamaForCausalLM.from_pretrained(tmp_path / "model")
    assert torch.equal(weights_of(read), weights_of(run.model))


@pytest.mark.parametrize("kl", [NoKl(), KlInLoss(weight=0.1), KlInReward(weight=0.1)])
def test_adapters_are_trained_alone_and_merged_when_saved(tmp_path: Path, kl: Kl) -> None:
    run = Run(tmp_path, tiny_spec(weights=Lora(rank=4, scale=8), learning_rate=1e-2, kl=kl))
    assert isinstance(run.model, PeftModel)
    base = weights_of(run.model.get_base_model().model.embed_tokens)
    run()
    ids = torch.tensor([[2, 3, 4, 5]])
    with torch.no_grad():
        adapted = run.model(input_ids=ids).logits
    save(run.model, run.tokenizer, run.spec, tmp_path / "model")
    read = LlamaForCausalLM.from_pretrained(tmp_path / "model")
    with torch.no_grad():
        torch.testing.assert_close(read(input_ids=ids).logits, adapted, rtol=1e-4, atol=1e-5)
        assert (tiny_model()(input_ids=ids).logits - adapted).abs().max() > 1e-3
    assert torch.equal(weights_of(read.model.embed_tokens), base)


def poison_the_weights(run: Run) -> None:
    next(run.model.parameters()).data[:] = torch.nan


def poison_the_gradient(run: Run) -> None:
    next(run.model.parameters()).register_hook(lambda gradient: gradient * torch.inf)


@pytest.mark.parametrize(
    ("poison", "happened"),
    [(poison_the_weights, "The log-probabilities of step 3"), (poison_the_gradient, "The gradient after 2")],
)
def test_a_training_that_diverges_says_so_and_keeps_its_last_good_checkpoint(
    tmp_path: Path, poison: Callable[[Run], None], happened: str
) -> None:
    run = Run(tmp_path, tiny_spec())
    steps = iter(range(1, 100))

    def grade(pairs: Sequence[tuple[str, str]]) -> list[Judgement]:
        if next(steps) == 3:
            poison(run)
        return by_first_letter(pairs)

    with pytest.raises(StepFailure, match=happened) as failure:
        run(grade)
    assert "learning_rate" in failure.value.remedy
    assert run.store.load_working(run.spec.address, tmp_path / "checkpoint") == "step-000002"
    kept = LlamaForCausalLM.from_pretrained(tmp_path / "checkpoint")
    assert torch.isfinite(weights_of(kept)).all()


def test_weights_that_a_reckless_rate_blew_up_are_never_kept(tmp_path: Path) -> None:
    run = Run(tmp_path, tiny_spec(learning_rate=1e38, warmup_steps=0, checkpoint_every=1))
    with pytest.raises(StepFailure, match="weights after step 1 are not finite"):
        run()
    assert run.store.load_working(run.spec.address, tmp_path / "checkpoint") is None


def test_a_batch_that_nobody_could_judge_stops_the_step(tmp_path: Path) -> None:
    run = Run(tmp_path, tiny_spec(max_tokens=60))
    with pytest.raises(StepFailure, match=r"None of the 16 completions of step \d could be judged"):
        run(lambda pairs: [Judgement(Verdict.UNJUDGED, None) for _ in pairs])
