"""The training loop: TRL's trainer on a tiny random model, with the real sampler."""

import inspect
import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from peft import PeftModel
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import GRPOTrainer

from effreason.choices import BuiltInModel, FullWeights, Lora, Prompt, Weights
from effreason.errors import StepFailure
from effreason.generation.sampler import Sampler
from effreason.progress import Progress
from effreason.records import Judgement, Problem, Verdict
from effreason.specs import Training, TrainSpec
from effreason.store.folder import FolderStore
from effreason.training.ledger import Ledger
from effreason.training.rollouts import Collector, Question, Rollout, questions_of_step
from effreason.training.run import fine_tune
from effreason.training.trainer import GroupTrainer
from effreason.training.weights import save, trainable
from effreason.workbench import Workbench

torch.set_num_threads(1)

WORDS = ("<pad>", "<eos>", *"abcdefghij")
EOS = 1


def all_right(pairs: Sequence[tuple[str, str]]) -> list[Judgement]:
    return [Judgement(Verdict.RIGHT, "1") for _ in pairs]


def by_first_letter(pairs: Sequence[tuple[str, str]]) -> list[Judgement]:
    """Verdicts of all three kinds."""
    kinds = [Verdict.RIGHT, Verdict.RIGHT, Verdict.WRONG, Verdict.UNJUDGED]
    return [Judgement(kinds[len(text.split()) % 4], text[:1] or None) for text, _ in pairs]


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>")


def tiny_model() -> LlamaForCausalLM:
    torch.manual_seed(6)  # one whose completions mostly end
    config = LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=64,
        initializer_range=0.3,
        bos_token_id=None,
        eos_token_id=EOS,
        pad_token_id=0,
        tie_word_embeddings=True,
    )
    return LlamaForCausalLM(config)


def questions() -> list[Question]:
    prompts = [(2,), (3, 4), (5, 6, 7), (8, 9), (10, 11, 2, 3)]
    return [Question(Problem(id=f"p{index}", question="", answer="1"), prompt) for index, prompt in enumerate(prompts)]


def tiny_spec(alpha: float = 0.4, **changes: object) -> TrainSpec:
    settings: dict[str, object] = {
        "steps": 5,
        "prompts_per_step": 4,
        "completions_per_prompt": 4,
        "learning_rate": 3e-3,
        "warmup_steps": 2,
        "max_tokens": 20,
        "tokens_per_microbatch": 64,
        "checkpoint_every": 2,
    }
    return TrainSpec(
        model=BuiltInModel(),
        problems="prepare/" + "0" * 24,
        prompt=Prompt(),
        training=Training.model_validate(settings | changes),
        alpha=alpha,
        seed=3,
    )


class Run:
    """One attempt at a training, in a scratch folder of its own beside the store that attempts share."""

    def __init__(self, folder: Path, spec: TrainSpec, attempt: str = "first") -> None:
        self.spec = spec
        self.told: list[Progress] = []
        self.store = FolderStore(folder / "store")
        scratch = folder / attempt
        scratch.mkdir()
        self.bench = Workbench(self.store, scratch, tell=self.told.append)
        self.tokenizer = tiny_tokenizer()
        self.model = trainable(tiny_model(), spec.training.weights, spec.seed)
        self.collector = Collector(
            questions(), Sampler(self.model, self.tokenizer), by_first_letter, spec.training, spec.alpha, spec.seed
        )

    def __call__(self, grade: Callable[..., list[Judgement]] = by_first_letter) -> Ledger:
        return fine_tune(self.model, self.tokenizer, self.spec, replace(self.collector, grade=grade), self.bench)


def metrics_of(ledger: Ledger, folder: Path) -> list[dict[str, float]]:
    folder.mkdir(exist_ok=True)
    ledger.finish(folder)
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def without_times(lines: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{name: value for name, value in line.items() if "second" not in name} for line in lines]


def weights_of(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten().clone() for parameter in model.parameters()])


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
    batch = replace(Run(tmp_path, tiny_spec(max_tokens=3)).collector, grade=all_right).batch(1)
    assert any(rollout.completion.truncated for rollout in batch.rollouts)
    for rollout in batch.rollouts:
        expected = Verdict.WRONG if rollout.completion.truncated else Verdict.RIGHT
        assert rollout.judgement.verdict is expected
        assert (rollout.reward == 0) is rollout.completion.truncated


# ---------------------------------------------------------------------------------------------- the gradient


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
        clipped = ratio.clamp(1 - spec.training.clip, 1 + spec.training.clip)
        loss = loss - torch.minimum(ratio * rollout.advantage, clipped * rollout.advantage).sum() / share
    loss.backward()
    return loss.item(), {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize(("updates", "clip"), [(1, 0.2), (2, 0.2), (2, 0.001)])
def test_the_gradient_is_that_of_the_formula(tmp_path: Path, updates: int, clip: float) -> None:
    spec = tiny_spec(steps=1, updates_per_step=updates, temperature=0.7, clip=clip, warmup_steps=0, max_grad_norm=1e9)
    run = Run(tmp_path, spec)
    seen: list[tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]] = []

    def look(*_: object) -> None:
        state = {name: value.clone() for name, value in run.model.state_dict().items()}
        seen.append((state, {name: p.grad.clone() for name, p in run.model.named_parameters() if p.grad is not None}))

    losses: list[float] = []
    trainer = GroupTrainer(
        run.model, run.tokenizer, spec, run.collector, tmp_path / "trainer",
        lambda metrics, rollouts: losses.append(metrics.update.loss), lambda step, folder: None, threading.Event(),
    )  # fmt: skip
    trainer.create_optimizer().register_step_pre_hook(look)
    batch = run.collector.batch(1)
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


# ------------------------------------------------------------------------------------------------- learning


def test_tokens_fall_when_short_answers_earn_more(tmp_path: Path) -> None:
    spec = tiny_spec(alpha=0.9, steps=15, completions_per_prompt=8, learning_rate=1e-2, checkpoint_every=100)
    lines = metrics_of(Run(tmp_path, spec)(all_right), tmp_path / "kept")
    tokens = [line["tokens"] for line in lines]
    assert sum(tokens[-3:]) < 0.6 * sum(tokens[:3])


def test_the_divergence_from_the_starting_model_is_kept_in_check_by_kl(tmp_path: Path) -> None:
    def divergence(kl: float) -> list[float]:
        spec = tiny_spec(alpha=0.9, steps=8, completions_per_prompt=8, kl=kl, checkpoint_every=100)
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
    save(run.model, run.tokenizer, tmp_path / "model")
    read = LlamaForCausalLM.from_pretrained(tmp_path / "model")
    assert torch.equal(weights_of(read), weights_of(run.model))


@pytest.mark.parametrize("kl", [0.0, 0.1])
def test_adapters_are_trained_alone_and_merged_when_saved(tmp_path: Path, kl: float) -> None:
    run = Run(tmp_path, tiny_spec(weights=Lora(rank=4, scale=8), learning_rate=1e-2, kl=kl))
    assert isinstance(run.model, PeftModel)
    base = weights_of(run.model.get_base_model().model.embed_tokens)
    run()
    ids = torch.tensor([[2, 3, 4, 5]])
    with torch.no_grad():
        adapted = run.model(input_ids=ids).logits
    save(run.model, run.tokenizer, tmp_path / "model")
    read = LlamaForCausalLM.from_pretrained(tmp_path / "model")
    with torch.no_grad():
        torch.testing.assert_close(read(input_ids=ids).logits, adapted, rtol=1e-4, atol=1e-5)
        assert (tiny_model()(input_ids=ids).logits - adapted).abs().max() > 1e-3
    assert torch.equal(weights_of(read.model.embed_tokens), base)


# --------------------------------------------------------------------------------------- stopping and resuming


class Interruption(Exception):
    """Stands for a killed process: nothing in the project catches it."""


def kill_at(step: int, run: Run) -> None:
    steps = iter(range(1, 100))
    collect = run.collector.grade

    def grade(pairs: Sequence[tuple[str, str]]) -> list[Judgement]:
        if next(steps) == step:
            raise Interruption
        return collect(pairs)

    with pytest.raises(Interruption):
        run(grade)


def stop_at(step: int, run: Run) -> None:
    def grade(pairs: Sequence[tuple[str, str]], steps=iter(range(1, 100))) -> list[Judgement]:
        if next(steps) == step:
            run.bench.stopping.set()
        return by_first_letter(pairs)

    with pytest.raises(StepFailure, match=f"stopped after step {step} of 5"):
        run(grade)


@pytest.mark.parametrize(
    ("interrupt", "weights", "updates"),
    [
        (kill_at, FullWeights(), 1),
        (stop_at, FullWeights(), 2),
        (kill_at, Lora(rank=4, scale=8, dropout=0.1), 2),
        (stop_at, Lora(rank=4, scale=8, dropout=0.1), 1),
    ],
)
def test_an_interrupted_training_ends_as_an_undisturbed_one(
    tmp_path: Path, interrupt: Callable[[int, Run], None], weights: Weights, updates: int
) -> None:
    spec = tiny_spec(weights=weights, updates_per_step=updates)
    for name in ("calm", "disturbed"):
        (tmp_path / name).mkdir()
    calm = Run(tmp_path / "calm", spec)
    expected = without_times(metrics_of(calm(), tmp_path / "calm" / "kept"))

    interrupt(3, Run(tmp_path / "disturbed", spec))
    again = Run(tmp_path / "disturbed", spec, attempt="second")
    found = without_times(metrics_of(again(), tmp_path / "disturbed" / "kept"))

    assert len(again.told) < 5
    assert found == [pytest.approx(line, abs=1e-6) for line in expected]
    torch.testing.assert_close(weights_of(again.model), weights_of(calm.model), rtol=0, atol=1e-6)
    completions = [pq.read_table(tmp_path / name / "kept" / "completions.parquet") for name in ("calm", "disturbed")]
    assert completions[0].equals(completions[1])


def poison_the_weights(run: Run) -> None:
    next(run.model.parameters()).data[:] = torch.nan


def poison_the_gradient(run: Run) -> None:
    next(run.model.parameters()).register_hook(lambda gradient: gradient * torch.inf)


@pytest.mark.parametrize(
    ("poison", "happened"), [(poison_the_weights, "The loss of step 3"), (poison_the_gradient, "The gradient after 2")]
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
