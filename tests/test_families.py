"""Mistral, Phi-4, Llama-3 and Qwen: their architectures with small random weights, through all that is done to a model.

What differs between them: sliding windows, fused projections, rotations that are stretched, biases, norms of queries
and keys, several tokens that end a turn.
"""

import pytest
import torch
from tiny_training import tiny_tokenizer
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from effreason.choices import FolderModel, FullWeights, Lora
from effreason.generation import Limits, Request
from effreason.generation.sampler import open_sampler
from effreason.models import load
from effreason.training.weights import trainable

torch.set_num_threads(1)

SMALL = {
    "vocab_size": 12, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "initializer_range": 0.4, "bos_token_id": None, "eos_token_id": 1, "pad_token_id": 0,
    "max_position_embeddings": 256,
}  # fmt: skip
LLAMA_3 = {"rope_type": "llama3", "rope_theta": 500_000.0, "factor": 8.0, "low_freq_factor": 1.0,
           "high_freq_factor": 4.0, "original_max_position_embeddings": 64}  # fmt: skip
LONG_ROPE = {"rope_type": "longrope", "rope_theta": 10_000.0, "short_factor": [1.0] * 4, "long_factor": [1.5] * 4,
             "original_max_position_embeddings": 128}  # fmt: skip
FAMILIES = {
    "mistral v0.1": ("mistral", {"sliding_window": 8}),
    "mistral v0.3": ("mistral", {"sliding_window": None}),
    "phi-4": ("phi3", {"sliding_window": None}),
    "phi-4 long": ("phi3", {"sliding_window": None, "rope_parameters": LONG_ROPE,
                            "original_max_position_embeddings": 128}),
    "llama-3": ("llama", {"rope_parameters": LLAMA_3, "eos_token_id": [1, 5]}),
    "qwen2": ("qwen2", {}),
    "qwen3": ("qwen3", {"head_dim": 8}),
}  # fmt: skip
PROMPTS = ((2, 3, 4), (5, 6, 7, 8, 9, 10, 11, 2, 3, 4, 6, 7), (4,))
TOKENS = 24


@pytest.fixture(params=FAMILIES)
def family(request, tmp_path) -> FolderModel:
    """The family's model as transformers saves it."""
    kind, own = FAMILIES[request.param]
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **{**SMALL, **own}))
    model.generation_config = GenerationConfig(eos_token_id=own.get("eos_token_id", 1), pad_token_id=0)
    model.save_pretrained(tmp_path / "base")
    tiny_tokenizer().save_pretrained(tmp_path / "base")
    return FolderModel(name="family", path=str(tmp_path / "base"))


def ours(loaded) -> list[list[int]]:
    requests = [Request(prompt, 1, 0) for prompt in PROMPTS]
    answers = open_sampler(loaded).generate(requests, Limits(0, 1, TOKENS))
    return [list(one.token_ids) for (one,) in answers]


@torch.inference_mode()
def theirs(model, side: str = "alone") -> list[list[int]]:
    """By the library's own `generate`: each prompt alone, or all of them padded on the left."""
    if side == "alone":
        return [
            _ended(model, torch.tensor([prompt]), torch.ones(1, len(prompt), dtype=torch.long))[0] for prompt in PROMPTS
        ]
    longest = max(map(len, PROMPTS))
    ids = torch.tensor([[0] * (longest - len(prompt)) + list(prompt) for prompt in PROMPTS])
    mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in PROMPTS])
    return _ended(model, ids, mask)


def _ended(model, ids: torch.Tensor, mask: torch.Tensor) -> list[list[int]]:
    output = model.generate(ids, attention_mask=mask, do_sample=False, max_new_tokens=TOKENS)
    ends = model.generation_config.eos_token_id
    ends = ends if isinstance(ends, list) else [ends]
    rows = [row[ids.shape[1] :].tolist() for row in output]
    cuts = [next((place + 1 for place, token in enumerate(row) if token in ends), TOKENS) for row in rows]
    return [row[:cut] for row, cut in zip(rows, cuts, strict=True)]


def test_the_sampler_answers_as_generate_does_alone_and_padded_on_the_left(family):
    loaded = load(family, "cpu", "float32")
    answers = ours(loaded)
    assert answers == theirs(loaded.model) == theirs(loaded.model, "left")
    assert any(len(answer) > 10 for answer in answers)  # beyond the window


def test_every_token_that_ends_a_turn_is_known(family):
    loaded = load(family, "cpu", "float32")
    configured = loaded.model.generation_config.eos_token_id
    assert loaded.eos_ids == frozenset(configured if isinstance(configured, list) else [configured])


@pytest.mark.parametrize("weights", [FullWeights(), Lora(rank=2, scale=4)], ids=["full", "lora"])
def test_a_step_changes_the_answers_likelihood_and_saving_keeps_it(family, weights, tmp_path):
    loaded = load(family, "cpu", "float32")
    model = trainable(loaded.model, weights, 0)
    ids = torch.tensor([[2, 3, 4, 5, 6, 7]])
    optimizer = torch.optim.SGD([one for one in model.parameters() if one.requires_grad], lr=0.05)
    losses = []
    for _ in range(3):
        loss = model(input_ids=ids, labels=ids).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    plain = model.merge_and_unload() if isinstance(weights, Lora) else model
    plain.eval().save_pretrained(tmp_path / "policy")
    loaded.tokenizer.save_pretrained(tmp_path / "policy")
    again = load(family, "cpu", "float32", policy=tmp_path / "policy")
    with torch.inference_mode():
        assert torch.allclose(again.model(ids).logits, plain(ids).logits, atol=1e-5)
    assert ours(again) == theirs(AutoModelForCausalLM.from_pretrained(tmp_path / "policy"))
    assert AutoTokenizer.from_pretrained(tmp_path / "policy").get_vocab() == loaded.tokenizer.get_vocab()
