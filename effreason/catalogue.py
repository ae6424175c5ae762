"""The shapes of models, from which memory and time are reckoned before anything is spent.

The shape of a local model is read from its config.json or its GGUF file; those of well-known models on the hub are
listed here, as their config.json has them.
"""

import difflib
import importlib.util
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from effreason.choices import BuiltInModel, FolderModel, HubModel, Model
from effreason.errors import UserError
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
    """Whether input and output embeddings are one matrix."""
    biased: bool = False
    """Whether queries, keys and values have biases, as in Qwen2."""

    @property
    def attention_width(self) -> int:
        """The width of all query heads together."""
        return self.heads * self.head_size

    @property
    def kv_width(self) -> int:
        """The width of all key heads together, and of all value heads."""
        return self.kv_heads * self.head_size

    @property
    def projections(self) -> tuple[tuple[int, int], ...]:
        """The inputs and outputs of the linear maps of a layer: queries, keys, values, output, gate, up, down."""
        into, out = (self.hidden, self.intermediate), (self.intermediate, self.hidden)
        keys = (self.hidden, self.kv_width)
        queries = (self.hidden, self.attention_width)
        return (queries, keys, keys, (self.attention_width, self.hidden), into, into, out)

    @property
    def linear_parameters(self) -> int:
        """The parameters of the linear maps of all layers, without biases."""
        return self.layers * sum(inputs * outputs for inputs, outputs in self.projections)

    @property
    def embedding_parameters(self) -> int:
        """The parameters of one embedding; the output has one more unless it is tied."""
        return self.vocabulary * self.hidden

    @property
    def parameters(self) -> int:
        """All parameters: weights, norms and biases."""
        norms = (2 * self.layers + 1) * self.hidden
        biases = self.layers * (self.attention_width + 2 * self.kv_width) if self.biased else 0
        return self.linear_parameters + self.embedding_parameters * (1 if self.tied else 2) + norms + biases

    def cache_bytes(self, bytes_per_number: int) -> int:
        """Return the bytes of the keys and values of one token."""
        return 2 * self.layers * self.kv_width * bytes_per_number


LLAMA_3_8B = Shape(32, 4096, 14_336, 32, 8, 128, 128_256, tied=False)
QWEN_2_7B = Shape(28, 3584, 18_944, 28, 4, 128, 152_064, tied=False, biased=True)

ON_THE_HUB = {
    "HuggingFaceTB/SmolLM2-135M-Instruct": Shape(30, 576, 1536, 9, 3, 64, 49_152, tied=True),
    "HuggingFaceTB/SmolLM2-360M-Instruct": Shape(32, 960, 2560, 15, 5, 64, 49_152, tied=True),
    "HuggingFaceTB/SmolLM2-1.7B-Instruct": Shape(24, 2048, 8192, 32, 32, 64, 49_152, tied=True),
    "Qwen/Qwen2.5-0.5B-Instruct": Shape(24, 896, 4864, 14, 2, 64, 151_936, tied=True, biased=True),
    "Qwen/Qwen2.5-1.5B-Instruct": Shape(28, 1536, 8960, 12, 2, 128, 151_936, tied=True, biased=True),
    "Qwen/Qwen2.5-7B-Instruct": QWEN_2_7B,
    "deepseek-ai/DeepSeek-R1-Distill-Llama-8B": LLAMA_3_8B,
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B": Shape(28, 1536, 8960, 12, 2, 128, 151_936, tied=False, biased=True),
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B": QWEN_2_7B,
    "meta-llama/Llama-3.1-8B-Instruct": LLAMA_3_8B,
    "meta-llama/Llama-3.2-1B-Instruct": Shape(16, 2048, 8192, 32, 8, 64, 128_256, tied=True),
    "meta-llama/Llama-3.2-3B-Instruct": Shape(28, 3072, 8192, 24, 8, 128, 128_256, tied=True),
    "microsoft/phi-4": Shape(40, 5120, 17_920, 40, 10, 128, 100_352, tied=False),
    "mistralai/Mistral-7B-Instruct-v0.3": Shape(32, 4096, 14_336, 32, 8, 128, 32_768, tied=False),
}

NEVER_RELEASED = re.compile(r"llama-3\.2-(7|8|70)b", re.IGNORECASE)
"""Names that users ask for, and that no maker gave to a model."""


def refuse_never_released(models: Iterable[Model]) -> None:
    """Raise `UserError` for a model under a name that its maker never gave."""
    for model in models:
        if isinstance(model, HubModel) and NEVER_RELEASED.search(model.id):
            raise UserError(
                f"{model.id} was never released: Llama 3.2 has the sizes 1B and 3B, and Llama 3.1 has 8B.",
                "Write meta-llama/Llama-3.2-1B-Instruct, meta-llama/Llama-3.2-3B-Instruct or "
                "meta-llama/Llama-3.1-8B-Instruct.",
            )


def nearest(id: str) -> str | None:
    """Return the catalogued id that is spelled most like one that is not catalogued; None where none is like it."""
    by_lower = {known.lower(): known for known in ON_THE_HUB}
    close = difflib.get_close_matches(id.lower(), by_lower, n=1, cutoff=0.75)
    return by_lower[close[0]] if close and id not in ON_THE_HUB else None


def shape(model: Model) -> Shape | None:
    """Return the model's shape, or None where neither its files nor the catalogue have it."""
    match model:
        case BuiltInModel():
            return _from_config(WEIGHTS / "config.json")
        case FolderModel(gguf_file=str(name)):
            return _from_gguf(Path(model.path) / name)
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
        biased=config.get("model_type") == "qwen2" or bool(config.get("attention_bias", False)),
    )


@lru_cache  # reading the metadata takes seconds: it has the whole vocabulary
def _from_gguf(path: Path) -> Shape | None:
    if importlib.util.find_spec("gguf") is None:
        return None
    from gguf import GGUFReader

    try:
        return _read_gguf(GGUFReader(path))
    except (OSError, KeyError, ValueError):  # not a GGUF file, or an architecture with other names
        return None


def _read_gguf(reader: Any) -> Shape:
    """Read the shape from a `gguf.GGUFReader`, by the names of llama.cpp's own metadata."""
    fields = {name: field.contents for name, field in reader.fields.items()}
    kind = fields["general.architecture"]()
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    hidden = int(fields[f"{kind}.embedding_length"]())
    heads = int(fields[f"{kind}.attention.head_count"]())
    kv_heads = fields.get(f"{kind}.attention.head_count_kv")
    head_size = fields.get(f"{kind}.attention.key_length")
    return Shape(
        layers=int(fields[f"{kind}.block_count"]()),
        hidden=hidden,
        intermediate=int(fields[f"{kind}.feed_forward_length"]()),
        heads=heads,
        kv_heads=int(kv_heads()) if kv_heads else heads,
        head_size=int(head_size()) if head_size else hidden // heads,
        vocabulary=int(tensors["token_embd.weight"].shape[1]),
        tied="output.weight" not in tensors,
        biased="blk.0.attn_q.bias" in tensors,
    )
