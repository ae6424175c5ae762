"""The low-rank adapter of a policy, recovered from its merged weights.

LoRA (Hu et al. 2021) adds a product of two thin matrices to every linear map, so the difference between the policy and
its base has at most the rank that was trained, and a singular value decomposition gives matrices with that product.
They are not the matrices that were trained, but their product is the same up to rounding.
"""

from pathlib import Path

import torch
from peft import LoraConfig, PeftConfig, PeftModel, get_peft_model
from peft.tuners.lora import Linear
from transformers import AutoModelForCausalLM, PreTrainedModel

from effreason.choices import FullWeights, HubModel, Model
from effreason.errors import UserError
from effreason.models import load
from effreason.specs import TrainSpec

LARGEST_REMAINDER = 1e-2
"""The largest part of a matrix's difference that the adapter may miss, as a share of its Frobenius norm."""


def write_adapter(spec: TrainSpec, policy: Path, folder: Path) -> None:
    """Write adapter_config.json and adapter_model.safetensors. Raises `UserError` if no adapter equals the policy."""
    weights = spec.training.weights
    if isinstance(weights, FullWeights):
        raise UserError("All weights of this policy were trained, so it has no adapter.", "Leave out --adapter.")
    base = load(spec.model, "cpu", "float32").model
    merged = AutoModelForCausalLM.from_pretrained(policy, dtype=torch.float32, use_safetensors=True)
    config = LoraConfig(task_type="CAUSAL_LM", r=weights.rank, lora_alpha=weights.rank, target_modules="all-linear")
    adapted = get_peft_model(base, config)
    _fill(adapted, merged)
    _name_base(adapted.peft_config["default"], spec.model)
    adapted.save_pretrained(folder, save_embedding_layers=False)


def _name_base(config: PeftConfig, base: Model) -> None:
    if isinstance(base, HubModel):
        config.base_model_name_or_path, config.revision = base.id, base.revision
    else:
        config.base_model_name_or_path = base.name


@torch.no_grad()
def _fill(adapted: PeftModel, merged: PreTrainedModel) -> None:
    targets = merged.state_dict()
    for name, layer in adapted.get_base_model().named_modules():
        if not isinstance(layer, Linear):
            continue
        difference = targets[f"{name}.weight"] - layer.get_base_layer().weight
        into, out = layer.lora_A["default"].weight, layer.lora_B["default"].weight
        left, sizes, right = torch.linalg.svd(difference, full_matrices=False)
        rank = min(len(into), len(sizes))
        if sizes[rank:].norm() > LARGEST_REMAINDER * sizes.norm():
            raise UserError(
                f"The policy's {name} was rounded when its adapter was merged; rank {rank} cannot undo that.",
                "Leave out --adapter.",
            )
        roots = sizes[:rank].sqrt()
        into.zero_()[:rank] = roots[:, None] * right[:rank]
        out.zero_()[:, :rank] = left[:, :rank] * roots
