"""A model whose layers vLLM splits over several processes; what runs one needs `make vllm`, and `make test-vllm`."""

import os
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM
from vllm_rounding import TOKEN_NATS

from effreason.choices import BuiltInModel, FolderModel, Prompt, Vllm
from effreason.errors import UserError
from effreason.generation import Limits, Request
from effreason.generation.vllm_parallel import refuse_uneven_parts
from effreason.models import load, stored
from effreason.problems.chain_sum import chain_sums
from effreason.prompts import render

needs_vllm = pytest.mark.skipif(find_spec("vllm") is None, reason="needs vLLM: make vllm, then make test-vllm")

BINDING = "VLLM_CPU_OMP_THREADS_BIND"
SAMPLED = Limits(0.7, 1.0, 40)


def small(folder: Path, heads: int, vocabulary: int | None = None) -> FolderModel:
    """A model of random weights with tied embeddings and the tokenizer of the built-in reasoner."""
    reasoner = load(BuiltInModel(), "cpu")
    of = reasoner.model.config
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        "llama", vocab_size=vocabulary or of.vocab_size, hidden_size=32 * heads, intermediate_size=256,
        num_hidden_layers=2, num_attention_heads=heads, num_key_value_heads=heads, head_dim=32,
        max_position_embeddings=512, tie_word_embeddings=True, bos_token_id=of.bos_token_id,
        eos_token_id=of.eos_token_id, pad_token_id=of.pad_token_id,
    )  # fmt: skip
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    reasoner.tokenizer.save_pretrained(folder)
    return FolderModel(name="small", path=str(folder))


@pytest.mark.parametrize(("heads", "vocabulary", "parts"), [(4, 64, 3), (3, 64, 3), (6, 100, 3), (4, 192, 8)])
def test_heads_and_the_padded_vocabulary_have_to_divide_evenly(tmp_path, heads, vocabulary, parts):
    model = stored(small(tmp_path, heads, vocabulary), tmp_path / "stored")
    padded = {64: 64, 100: 128, 192: 192}[vocabulary]
    with pytest.raises(UserError, match=f"{heads} attention heads and a vocabulary of {padded} tokens"):
        refuse_uneven_parts(parts, model)


@pytest.mark.parametrize(("heads", "vocabulary", "parts"), [(4, 100, 4), (6, 192, 3), (3, 100, 1)])
def test_a_model_whose_heads_and_vocabulary_divide_evenly_is_taken(tmp_path, heads, vocabulary, parts):
    refuse_uneven_parts(parts, stored(small(tmp_path, heads, vocabulary), tmp_path / "stored"))


@needs_vllm
@pytest.mark.parametrize(("parts", "bound"), [(1, None), (2, "nobind")])
def test_vllm_is_told_into_how_many_parts_to_split_and_to_share_prefixes(tmp_path, monkeypatch, parts, bound):
    import vllm

    from effreason.generation.vllm_engine import open_vllm

    asked: dict[str, object] = {}
    monkeypatch.setattr(vllm, "LLM", lambda **settings: asked.update(settings))
    monkeypatch.setenv(BINDING, "restored afterwards")
    monkeypatch.delenv(BINDING)
    open_vllm(Vllm(tensor_parallel=parts), stored(small(tmp_path, heads=4), tmp_path / "stored"))
    assert asked["tensor_parallel_size"] == parts
    assert asked["enable_prefix_caching"] is True
    assert os.environ.get(BINDING) == bound


@needs_vllm
def test_the_user_may_bind_the_processes(tmp_path, monkeypatch):
    import vllm

    from effreason.generation.vllm_engine import open_vllm

    monkeypatch.setattr(vllm, "LLM", lambda **settings: None)
    monkeypatch.setenv(BINDING, "0|1")
    open_vllm(Vllm(tensor_parallel=2), stored(small(tmp_path, heads=4), tmp_path / "stored"))
    assert os.environ[BINDING] == "0|1"


@needs_vllm
def test_a_model_that_cannot_be_split_is_refused_before_vllm_starts(tmp_path, monkeypatch):
    import vllm

    from effreason.generation.vllm_engine import open_vllm

    monkeypatch.setattr(vllm, "LLM", lambda **settings: pytest.fail("started"))
    with pytest.raises(UserError, match="3 attention heads and a vocabulary of 64 tokens"):
        open_vllm(Vllm(tensor_parallel=3), stored(BuiltInModel(), tmp_path))


@pytest.mark.slow
@pytest.mark.timeout(900)
@needs_vllm
def test_two_processes_sample_from_the_model_and_from_weights_that_replace_its_own(tmp_path: Path):
    from effreason.generation.vllm_engine import VllmGenerator, open_vllm

    model = small(tmp_path, heads=4)
    reasoner = load(model, "cpu", "float32")
    prompts = [render(Prompt(), problem.question, reasoner.tokenizer) for problem in chain_sums(4, 3)]
    asked = [Request(prompt, 1, 1000 * place) for place, prompt in enumerate(prompts)]

    def gap(engine: VllmGenerator) -> float:
        """The largest difference of log-probabilities, in nats, between the engine and the model in this process."""
        return max(
            float((scores(reasoner.model, request, one.token_ids) - torch.tensor(one.log_probabilities)).abs().max())
            for request, [one] in zip(asked, engine.generate(asked, SAMPLED), strict=True)
        )

    two = Vllm(cache_gib=0.1, rows=8, tensor_parallel=2)
    with closing(open_vllm(two, stored(model, tmp_path / "stored"), scored=True)) as engine:
        assert gap(engine) < TOKEN_NATS
        with torch.no_grad():
            for parameter in reasoner.model.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
        assert gap(engine) > TOKEN_NATS
        engine.load(reasoner.model.named_parameters())
        assert gap(engine) < TOKEN_NATS


def scores(model: torch.nn.Module, request: Request, ids: tuple[int, ...]) -> torch.Tensor:
    """The model's own log-probabilities of a completion."""
    with torch.no_grad():
        logits = model(torch.tensor([[*request.prompt_ids, *ids]])).logits[0, len(request.prompt_ids) - 1 : -1]
    return (logits / SAMPLED.temperature).log_softmax(-1).gather(1, torch.tensor(ids)[:, None])[:, 0]
