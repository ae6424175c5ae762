"""Which weights are trained, and how they are saved."""

from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from effreason.choices import Lora, Weights


def trainable(model: PreTrainedModel, weights: Weights, seed: int) -> PreTrainedModel | PeftModel:
    """The model with the weights to train set free; adapters are drawn by the seed."""
    if not isinstance(weights, Lora):
        return model.requires_grad_(True)
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


def save(model: PreTrainedModel | PeftModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write the policy as a plain model with its tokenizer, adapters merged; the model is of no use afterwards."""
    plain = model.merge_and_unload() if isinstance(model, PeftModel) else model
    plain.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
