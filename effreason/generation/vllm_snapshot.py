"""A model's weights in a folder, for an engine that is told where they are and nothing else, no revision either."""

import json
import shutil
from fnmatch import fnmatch
from pathlib import Path

import huggingface_hub
from huggingface_hub import errors

from effreason.errors import StepFailure
from effreason.hub import unreachable
from effreason.models import Stored

INDEX = "model.safetensors.index.json"

READ = ["*.json", "*.safetensors"]
NOT_READ = ["*/*", "consolidated*"]
"""Patterns of files that transformers does not read: some repositories hold their weights twice."""


def folder_of(model: Stored) -> Path:
    """Return the folder of the model's configuration and weights on this machine; those on the hub are fetched.

    Raises `StepFailure` where the hub does not give all of the revision that the model is pinned to.
    """
    if model.revision is None:
        return Path(model.where).absolute()
    try:
        folder = Path(
            huggingface_hub.snapshot_download(
                model.where, revision=model.revision, allow_patterns=READ, ignore_patterns=NOT_READ
            )
        )
    except (errors.HTTPError, errors.LocalEntryNotFoundError, ConnectionError) as error:  # type: ignore[attr-defined]
        raise unreachable("model", model.where, error) from error
    # The hub's own client returns a folder of which a part is missing when it is cut off.
    if missing := [name for name in _weights(folder) if not (folder / name).is_file()]:
        raise StepFailure(
            f"{missing[0]} of the model {model.where} at {model.revision} was not fetched from the hub.",
            'Check the network and that the model has safetensors, or use a local copy (source = "folder").',
        )
    return folder


def copy_weights(source: Path, folder: Path) -> None:
    """Copy the files that an engine reads of a model, and nothing else that lies beside them."""
    for file in source.iterdir():
        if _is_read(file.name) and file.is_file():
            shutil.copyfile(file, folder / file.name)


def _is_read(name: str) -> bool:
    return any(fnmatch(name, one) for one in READ) and not any(fnmatch(name, one) for one in NOT_READ)


def _weights(folder: Path) -> list[str]:
    """Return the names of the files that hold the weights."""
    if not (folder / INDEX).is_file():
        return ["model.safetensors"]
    return sorted(set(json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"].values()))
