"""Weights laid down in a folder, from which an engine in another process reads them."""

from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors.torch import save_file

FILE = "model.safetensors"


def lay_down(weights: Iterable[tuple[str, torch.Tensor]], folder: Path) -> None:
    """Write the weights, by their names in transformers, as one file; nobody sees half of it."""
    partial = folder / f"{FILE}.partial"
    save_file({name: weight.detach().cpu().contiguous() for name, weight in weights}, partial)
    partial.rename(folder / FILE)


def open_to_all(folder: Path) -> None:
    """Let everybody read the folder and its files: the engine's process may be another user's."""
    for file in folder.iterdir():
        file.chmod(0o644)
    folder.chmod(0o755)
