"""The shapes of models, from which memory and time are reckoned before anything is spent.

The shape of a local model is read from its config.json; those of well-known models on the hub are listed here.
"Llama-3.2-7B" was never released: the sizes are 1B and 3B, and Llama-3.1 has 8B.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from effreason.choices import BuiltInModel, FolderModel, HubModel, Model
from effreason.reasoner import WEIGHTS


@dataclass(frozen=True)
class Shape:
    """A decoder-only transformer with gated feed-forward layers and grouped key-value heads."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_size: int
    vocabulary: int
    tied: bool
    """Input and output embeddings are one matrix."""

    @property
    def parameters(self) -> int:
        """Weights, norms included."""
        attention = self.hidden * self.head_size * (2 * self.heads + 2 * self.kv_heads)
        layer = attention + 3 * self.hidden * self.intermediate + 2 * self.hidden
        embeddings = self.vocabulary * self.hidden * (1 if self.tied else 2)
        return self.layers * layer + embeddings + self.hidden

    def cache_bytes(self, bytes_per_number: int) -> int:
        """Keys and values of one token."""
        return 2 * self.layers * self.kv_heads * self.head_size * bytes_per_number


LLAMA_3_1B = Shape(16, 2048, 8192, 32, 8, 64, 128_256, tied=True)
LLAMA_3_3B = Shape(28, 3072, 8192, 24, 8, 128, 128_256, tied=True)
LLAMA_3_8B = Shape(32, 4096, 14_336, 32, 8, 128, 128_256, tied=False)
MISTRAL_7B = Shape(32, 4096, 14_336, 32, 8, 128, 32_768, tied=False)
PHI_4 = Shape(40, 5120, 17_920, 40, 10, 128, 100_352, tied=False)
SMOLLM2_135M = Shape(30, 576, 1536, 9, 3, 64, 49_152, tied=True)

ON_THE_HUB = {
    "HuggingFaceTB/SmolLM2-135M-Instruct": SMOLLM2_135M,
    "meta-llama/Llama-3.1-8B-Instruct": LLAMA_3_8B,
    "meta-llama/Llama-3.2-1B-Instruct": LLAMA_3_1B,
    "meta-llama/Llama-3.2-3B-Instruct": LLAMA_3_3B,
    "microsoft/phi-4": PHI_4,
    "mistralai/Mistral-7B-Instruct-v0.3": MISTRAL_7B,
}


def shape(model: Model) -> Shape | None:
    """The model's shape, or None where neither a config.json nor the catalogue has it."""
    match model:
        case BuiltInModel():
            return _from_config(WEIGHTS / "config.json")
        case FolderModel():
            return _from_config(Path(model.path) / "config.json")
        case HubModel():
            return ON_THE_HUB.get(model.id)


def _from_config(path: Path) -> Shape | None:
    try:
        return _read(json.loads(path.read_text()))
    except (OSError, KeyError, ValueError):  # an architecture with other names: no estimate is better than a wrong one
        return None


def _read(config: Mapping[str, Any]) -> Shape:
    heads = config["num_attention_heads"]
    return Shape(
        layers=config["num_hidden_layers"],
        hidden=config["hidden_size"],
        intermediate=config["intermediate_size"],
        heads=heads,
        kv_heads=config.get("num_key_value_heads") or heads,
        head_size=config.get("head_dim") or config["hidden_size"] // heads,
        vocabulary=config["vocab_size"],
        tied=config.get("tie_word_embeddings", False),
    )
