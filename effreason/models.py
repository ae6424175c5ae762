"""Models and tokenizers, loaded from the package, a folder or the hub: safetensors only, and nobody's code but ours."""

import importlib.util
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from huggingface_hub import errors as hub_errors
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    GenerationConfig,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from effreason.choices import BuiltInModel, FolderModel, HubModel, Model
from effreason.errors import EffreasonError, StepFailure, UserError
from effreason.hub import unreachable
from effreason.reasoner import WEIGHTS

UNREADABLE = (OSError, ValueError, KeyError, hub_errors.StrictDataclassError)
"""The errors that transformers raises for a model that is missing, damaged or inconsistent."""

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True)
class Loaded:
    """A model ready to generate or to be trained. Made here; read by generation and training."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    eos_ids: frozenset[int]
    """Token ids, any of which ends a completion."""


@dataclass(frozen=True)
class Stored:
    """A model for an engine that loads weights by itself. Made here; read by generation."""

    where: str
    """A folder with safetensors, or an id on the hub."""
    revision: str | None
    trust_remote_code: bool
    tokenizer: PreTrainedTokenizerBase
    eos_ids: frozenset[int]


def stored(model: Model, folder: Path, policy: Path | None = None) -> Stored:
    """Return the model without its weights in memory; `folder` takes those of a GGUF file, expanded.

    Raises as `load` does.
    """
    where, options = _source(model) if policy is None else (str(policy), {"trust_remote_code": _trusts(model)})
    if "gguf_file" in options:
        loaded = load(model, "cpu", "float32")
        loaded.model.save_pretrained(folder)
        loaded.tokenizer.save_pretrained(folder)
        return Stored(str(folder), None, False, loaded.tokenizer, loaded.eos_ids)
    try:
        config = AutoConfig.from_pretrained(where, **options)
        tokenizer = _tokenizer(where, options)
        revision = str(options["revision"]) if "revision" in options else None
        eos_ids = _eos_ids(_generation_config(where, config, revision), tokenizer)
    except UNREADABLE as error:
        raise _explained(model, where, error) from error
    return Stored(where, revision, _trusts(model), tokenizer, eos_ids)


def _generation_config(where: str, config: PretrainedConfig, revision: str | None) -> GenerationConfig:
    """Return the model's own generation settings, or if it has none, those that its configuration implies."""
    try:
        return GenerationConfig.from_pretrained(where, revision=revision or "main")
    except OSError:
        return GenerationConfig.from_model_config(config)


def load(
    model: Model,
    device: Device = "auto",
    precision: Precision = "auto",
    policy: Path | None = None,
    *,
    quantised: bool = False,
) -> Loaded:
    """Load the model on its device, in evaluation mode; `policy` is a folder whose weights replace the model's.

    `quantised` holds the weights of linear layers in 4 bits (NF4, Dettmers et al. 2023).

    Raises:
        UserError: the model is not there, is gated, is damaged, incomplete or at odds with its configuration, has no
            safetensors or no end of sequence, or cannot be quantised because bitsandbytes is not installed.
        StepFailure: the hub cannot be reached, or the GPU that was asked for is not there.
    """
    logging.disable_progress_bar()  # a step's own progress is what its log is for
    place = _device(device)
    where, options = _source(model) if policy is None else (str(policy), {"trust_remote_code": _trusts(model)})
    if quantised:
        options |= {"quantization_config": _four_bits(_dtype(precision, place)), "device_map": {"": place}}
    try:
        loaded, tokenizer = _read(where, options, _dtype(precision, place))
        eos_ids = _eos_ids(loaded.generation_config, tokenizer)
    except (*UNREADABLE, SafetensorError) as error:
        raise _explained(model, where, error) from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = _padding(tokenizer)
    return Loaded((loaded if quantised else loaded.to(place)).eval(), tokenizer, eos_ids)


def _four_bits(compute: torch.dtype) -> BitsAndBytesConfig:
    if importlib.util.find_spec("bitsandbytes") is None:
        raise UserError(
            "4-bit weights need bitsandbytes, which is not installed.",
            'Run `pip install bitsandbytes`, or set training.weights = { kind = "lora" }.',
        )
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute,
    )


def _read(where: str, options: dict[str, Any], dtype: torch.dtype) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    gguf = "gguf_file" in options
    if not gguf:
        plain = {name: value for name, value in options.items() if name in ("trust_remote_code", "revision")}
        AutoConfig.from_pretrained(where, **plain)  # what is wrong with the place itself, it says most clearly
    weights = {"dtype": dtype} if gguf else {"dtype": dtype, "use_safetensors": True}
    model, report = AutoModelForCausalLM.from_pretrained(where, **options, **weights, output_loading_info=True)
    if report["missing_keys"]:
        raise ValueError(f"it lacks the weights {', '.join(sorted(report['missing_keys'])[:3])} and possibly others")
    if surplus := _of_further_layers(model, report["unexpected_keys"]):
        raise ValueError(f"config.json has no layer for the weights {', '.join(surplus[:3])} and possibly others")
    if gguf:
        _forget_quantisation(model)
    _say_that_it_samples(model.generation_config)
    return model, _tokenizer(where, options)


def _of_further_layers(model: PreTrainedModel, unexpected: Iterable[str]) -> list[str]:
    """Return the unexpected weights that would be the first layer's if they were numbered 0."""
    own = model.state_dict().keys()
    return sorted(name for name in unexpected if re.sub(r"\.\d+\.", ".0.", name, count=1) in own)


def _tokenizer(where: str, options: dict[str, Any]) -> PreTrainedTokenizerBase:
    """Load the tokenizer of tokenizer.json. Where mistral_common is installed, as beside vLLM, transformers would
    take tekken.json first, for other ids and without the chat template."""
    named = {name: value for name, value in options.items() if name in ("trust_remote_code", "revision", "gguf_file")}
    return AutoTokenizer.from_pretrained(where, mistral_format=False, **named)


def _source(model: Model) -> tuple[str, dict[str, Any]]:
    match model:
        case BuiltInModel():
            return str(WEIGHTS), {"trust_remote_code": False}
        case FolderModel():
            gguf = {"gguf_file": model.gguf_file} if model.gguf_file else {}
            return model.path, {"trust_remote_code": False, **gguf}
        case HubModel():
            return model.id, {"trust_remote_code": model.trust_remote_code, "revision": model.revision}


def _trusts(model: Model) -> bool:
    return isinstance(model, HubModel) and model.trust_remote_code


def _device(wanted: Device) -> torch.device:
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if wanted == "cuda" and not torch.cuda.is_available():
        raise StepFailure("No GPU that torch can use was found.", 'Set runtime.device = "auto" or fix the driver.')
    return torch.device(wanted)


def _dtype(precision: Precision, device: torch.device) -> torch.dtype:
    if precision == "auto":
        return torch.bfloat16 if device.type == "cuda" and torch.cuda.is_bf16_supported() else torch.float32
    return torch.bfloat16 if precision == "bfloat16" else torch.float32


def _forget_quantisation(model: PreTrainedModel) -> None:
    """Remove the marker of a GGUF file, whose weights were expanded on reading: it would keep them from being saved."""
    model.config.__dict__.pop("quantization_config", None)
    model.hf_quantizer = None
    model.is_quantized = False


def _say_that_it_samples(generation: GenerationConfig | None) -> None:
    """Some models come with a temperature and without do_sample, which transformers reads but refuses to write."""
    given = (getattr(generation, name, None) for name in ("temperature", "top_p", "top_k"))
    if generation is not None and any(value is not None for value in given):
        generation.do_sample = True


def _eos_ids(generation: GenerationConfig | None, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Collect the tokens that end a completion: instruct models end a turn with another than the tokenizer's own."""
    configured = generation.eos_token_id if generation is not None else None
    several = configured if isinstance(configured, list) else [configured]
    found = frozenset(int(token) for token in (*several, tokenizer.eos_token_id) if token is not None)
    if not found:
        raise ValueError("neither its tokenizer nor its configuration names a token that ends a completion (eos_token)")
    return found


def _padding(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return a special token that ends nothing, else the end of sequence, which masks tell from padding."""
    end: str = tokenizer.eos_token
    return next((token for token in (tokenizer.unk_token, tokenizer.bos_token) if token not in (None, end)), end)


def _explained(model: Model, where: str, error: Exception) -> EffreasonError:
    cause = error.__cause__
    if isinstance(model, HubModel) and isinstance(cause, hub_errors.LocalEntryNotFoundError):
        return unreachable("model", model.id, cause)
    return UserError(f"The model {model.name} cannot be loaded from {where}: {_told(error)}.", _remedy(model))


def _told(error: BaseException) -> str:
    """Return the error in one line."""
    if isinstance(error, KeyError):
        return f"its tokenizer or configuration lacks a key ({error})"
    if isinstance(error, hub_errors.StrictDataclassError) and error.__cause__ is not None:
        error = error.__cause__
    return str(error).strip().split("\n")[0].rstrip(".: ")


def _remedy(model: Model) -> str:
    match model:
        case HubModel() if "HF_TOKEN" not in os.environ:
            return "Check its id, set HF_TOKEN if it is gated, or load it from a folder."
        case HubModel():
            return "Check its id and that your token has read access, or load it from a folder."
        case _:
            return "Use a folder with config.json, tokenizer files and safetensors, as save_pretrained writes it."
