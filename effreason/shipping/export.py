"""The folder that is shipped: a policy as transformers loads it and `vllm serve` serves it."""

import tempfile
from pathlib import Path

from transformers import GenerationConfig

from effreason.artifacts import Manifest
from effreason.models import stored
from effreason.shipping.adapter import write_adapter
from effreason.shipping.card import card
from effreason.specs import TrainSpec
from effreason.store import Store


def export(store: Store, policy: Manifest, folder: Path, *, adapter: bool = False) -> None:
    """Write safetensors, tokenizer with its chat template, generation config and README.md into `folder`.

    With `adapter` the weights are what LoRA added, for peft, over the base model.

    Raises `UserError` where the base model is needed and not there, or an adapter cannot stand for the policy;
    `StepFailure` where the store cannot be read.
    """
    spec = policy.spec
    assert isinstance(spec, TrainSpec)  # noqa: S101  what makes a policy
    with tempfile.TemporaryDirectory(prefix="effreason-export-") as scratch:
        model = store.fetch(policy, Path(scratch), ["model/"]) / "model"
        folder.mkdir(parents=True, exist_ok=True)
        if adapter:
            write_adapter(spec, model, folder)
        else:
            _copy_weights(model, folder)
        found = stored(spec.model, Path(scratch), policy=model)
        found.tokenizer.save_pretrained(folder)
        _write_ending(model, found.eos_ids, found.tokenizer.pad_token_id, folder)
    (folder / "README.md").write_text(card(store, policy, folder.name, adapter=adapter), encoding="utf-8")


def _copy_weights(model: Path, folder: Path) -> None:
    for path in model.iterdir():
        if (
            path.name == "config.json"
            or ".safetensors" in path.suffixes
            or path.name.endswith(".safetensors.index.json")
        ):
            (folder / path.name).write_bytes(path.read_bytes())


def _write_ending(model: Path, eos_ids: frozenset[int], pad_id: int | None, folder: Path) -> None:
    """A generation config that ends completions where ours end, so that whoever serves the model ends there too."""
    known = (model / "generation_config.json").is_file()
    generation = GenerationConfig.from_pretrained(str(model)) if known else GenerationConfig()
    ends = sorted(eos_ids)
    generation.eos_token_id = ends[0] if len(ends) == 1 else ends
    if generation.pad_token_id is None:
        generation.pad_token_id = pad_id
    generation.save_pretrained(folder)
