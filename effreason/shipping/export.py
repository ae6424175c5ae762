"""The exported folder: a policy as transformers loads it and `vllm serve` serves it."""

import json
import shutil
import tempfile
from pathlib import Path

from effreason.artifacts import Manifest
from effreason.models import stored
from effreason.shipping.adapter import write_adapter
from effreason.shipping.card import card
from effreason.shipping.parts import is_of_a_model
from effreason.specs import TrainSpec
from effreason.store import Store
from effreason.store.shelf import disk_errors


def export(store: Store, policy: Manifest, folder: Path, *, adapter: bool = False) -> list[str]:
    """Write safetensors, tokenizer with its chat template, generation config and README.md into `folder`.

    With `adapter` the weights are those that LoRA added to the base model, for peft. A model already in `folder` is
    replaced once the new one is complete; other files stay. Returns the files written, relative to `folder`.

    Raises `UserError` if the base model is needed and missing, an adapter cannot represent the policy, or `folder` may
    not be used; `StepFailure` if the store cannot be read or `folder` cannot be written.
    """
    spec = policy.spec
    assert isinstance(spec, TrainSpec)  # noqa: S101  policies are made from train specs
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="effreason-export-") as scratch:
        model, made = store.fetch(policy, Path(scratch), ["model/"]) / "model", Path(scratch) / "made"
        made.mkdir()
        found = stored(spec.model, Path(scratch), policy=model)
        found.tokenizer.save_pretrained(made)
        _write_ending(model, found.eos_ids, found.tokenizer.pad_token_id, made)
        if adapter:
            write_adapter(spec, model, made)
        else:
            _move_weights(model, made)
        (made / "README.md").write_text(card(store, policy, folder.resolve().name, adapter=adapter), encoding="utf-8")
        with disk_errors(folder):
            _clear(folder)
            return _laid_down(made, folder)


def _move_weights(model: Path, made: Path) -> None:
    for pattern in ("config.json", "*.safetensors", "*.safetensors.index.json"):
        for path in list(model.glob(pattern)):
            path.replace(made / path.name)


def _clear(folder: Path) -> None:
    for path in [*folder.glob("*"), *folder.glob("*/*")]:
        if is_of_a_model(path.relative_to(folder).as_posix()) and not path.is_dir():
            path.unlink()


def _laid_down(made: Path, folder: Path) -> list[str]:
    files = [path.relative_to(made).as_posix() for path in sorted(made.rglob("*")) if path.is_file()]
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(made / file, folder / file)
    return files


def _write_ending(model: Path, eos_ids: frozenset[int], pad_id: int | None, made: Path) -> None:
    """Write a generation config with our end-of-sequence tokens, so that completions end at the same place when served.

    Everything else is as in the base, even what transformers' own writer refuses, such as a temperature without
    do_sample.
    """
    known = model / "generation_config.json"
    generation = json.loads(known.read_text(encoding="utf-8")) if known.is_file() else {}
    ends = sorted(eos_ids)
    generation["eos_token_id"] = ends[0] if len(ends) == 1 else ends
    if generation.get("pad_token_id") is None:
        generation["pad_token_id"] = pad_id
    text = json.dumps(generation, indent=2, sort_keys=True)
    (made / "generation_config.json").write_text(f"{text}\n", encoding="utf-8")
