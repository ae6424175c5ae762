"""Which weights are trained, and how they are saved."""

import tempfile
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from effreason.choices import FullWeights, Model, Qlora, Weights
from effreason.models import load
from effreason.specs import TrainSpec


def trainable(model: PreTrainedModel, weights: Weights, seed: int) -> PreTrainedModel | PeftModel:
    """Return the model with the weights to train unfrozen; adapters are initialised from the seed."""
    if isinstance(weights, FullWeights):
        return model.requires_grad_(True)
    if isinstance(weights, Qlora):
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    torch.manual_seed(seed)
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=weights.rank,
        lora_alpha=weights.scale,
        lora_dropout=weights.dropout,
        target_modules="all-linear",
    )
    adapted = get_peft_model(model, config)
    # A checkpoint of the adapters would else ask the hub about the model that they belong to.
    adapted.peft_config["default"].base_model_name_or_path = None
    return adapted


def save(model: PreTrainedModel | PeftModel, tokenizer: PreTrainedTokenizerBase, spec: TrainSpec, folder: Path) -> None:
    """Write the policy as a plain model with its tokenizer, adapters merged; the model cannot be used afterwards.

    Adapters over 4-bit weights are merged into the model's own, which are loaded again: rounded weights with adapters
    merged into them would have to be rounded once more.
    """
    if isinstance(spec.training.weights, Qlora):
        model = _over_whole_weights(model, spec.model)
    plain = model.merge_and_unload() if isinstance(model, PeftModel) else model
    plain.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _over_whole_weights(adapted: PeftModel, base: Model) -> PeftModel:
    whole = load(base, "cpu", "bfloat16").model
    with tempfile.TemporaryDirectory(prefix="effreason-adapter-") as folder:
        adapted.save_pretrained(folder)
        return PeftModel.from_pretrained(whole, folder)
