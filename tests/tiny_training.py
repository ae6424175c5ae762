"""A training small enough for tests: a random model of twelve words, the real sampler, the real trainer."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from effreason.choices import BuiltInModel, Prompt
from effreason.generation.sampler import Sampler
from effreason.progress import Progress
from effreason.records import Judgement, Problem, Verdict
from effreason.specs import Training, TrainSpec
from effreason.store.folder import FolderStore
from effreason.training.ledger import Ledger
from effreason.training.rollouts import Collector, Question
from effreason.training.run import fine_tune
from effreason.training.weights import trainable
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
        max_position_embeddings=128,
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

    def __init__(self, folder: Path, spec: TrainSpec, attempt: str = "first", *, of_the_start: bool = False) -> None:
        """`of_the_start` collects from the model as it was before training."""
        self.spec = spec
        self.told: list[Progress] = []
        self.store = FolderStore(folder / "store")
        scratch = folder / attempt
        scratch.mkdir()
        self.bench = Workbench(self.store, scratch, tell=self.told.append)
        self.tokenizer = tiny_tokenizer()
        self.model = trainable(tiny_model(), spec.training.weights, spec.seed)
        self.sampler = Sampler(self.model, self.tokenizer, scored=True)
        collected = Sampler(tiny_model(), self.tokenizer) if of_the_start else self.sampler
        self.collector = Collector(questions(), collected, by_first_letter, spec.training, spec.seed)

    def __call__(self, grade: Callable[..., list[Judgement]] = by_first_letter) -> Ledger:
        return fine_tune(self.model, self.tokenizer, self.spec, replace(self.collector, grade=grade), self.bench)


def metrics_of(ledger: Ledger, folder: Path) -> list[dict[str, float]]:
    folder.mkdir(exist_ok=True)
    ledger.finish(folder)
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def without_times_of(path: Path) -> list[dict[str, float]]:
    """Of a metrics.jsonl: what does not depend on the machine's speed."""
    return without_times([json.loads(line) for line in path.read_text().splitlines()])


def without_times(lines: list[dict[str, float]]) -> list[dict[str, float]]:
    return [
        {name: value for name, value in line.items() if "second" not in name and "peak" not in name} for line in lines
    ]


def weights_of(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten().clone() for parameter in model.parameters()])
