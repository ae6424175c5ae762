"""One decoding step of many rows by a model's own forward pass, and the prefilling of their prompts."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, PreTrainedModel
from transformers.cache_utils import DynamicCache

from effreason.errors import UserError
from effreason.generation.cache import Rows

ATTENTION = "effreason_decode"

PLAIN_ATTENTION = frozenset({"llama", "mistral", "phi3", "qwen2", "qwen3"})
"""Model types whose attention is scores, mask, softmax and nothing else; other types keep their own."""


@dataclass(frozen=True)
class Prefilled:
    """Prompts that have been read. Made by a decoder; read by the sampler."""

    cache: DynamicCache
    """The keys and values, padded on the right."""
    lengths: torch.Tensor
    """Tokens of each prompt: (prompts,)."""
    logits: torch.Tensor
    """The logits after the last token of each prompt: (prompts, vocabulary), float32."""


class Decoder:
    """Any causal language model of transformers whose layers keep keys and values."""

    in_waves = False
    """Whether waiting completions enter only when all before them have left.

    Rows that started together are equally long, so attention reads no padding; a thin batch is cheap only where a step
    costs little more than its rows.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        if not getattr(model, "_supports_attention_backend", False):
            raise UserError(
                f"Models of type {model.config.model_type} cannot be decoded here: "
                "they do not attend through transformers' common interface.",
                "Choose a model such as Llama, Mistral, Qwen or Phi.",
            )
        self.model = model
        self.device = model.device
        self.own_attention = model.config._attn_implementation
        self.window = getattr(model.config, "sliding_window", None)
        self.layer_types = frozenset(getattr(model.config, "layer_types", None) or ())

    def prefill(self, prompts: Sequence[tuple[int, ...]]) -> Prefilled:
        """Read each prompt once."""
        lengths = torch.tensor([len(prompt) for prompt in prompts], device=self.device)
        longest = int(lengths.max())
        ids = torch.tensor([[*prompt, *[0] * (longest - len(prompt))] for prompt in prompts], device=self.device)
        cache = DynamicCache()

        def last_only(_: torch.nn.Module, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
            return (inputs[0][torch.arange(len(lengths), device=self.device), lengths - 1][:, None],)

        # Logits of every token of every prompt could take gigabytes.
        hook = self.model.get_output_embeddings().register_forward_pre_hook(last_only)
        try:
            logits = self.model(input_ids=ids, past_key_values=cache, use_cache=True).logits
        finally:
            hook.remove()
        return Prefilled(cache, lengths, logits[:, 0].float())

    def step(self, tokens: torch.Tensor, rows: Rows) -> torch.Tensor:
        """Feed each row its token and return the logits of the next, (rows, vocabulary), float32."""
        with self._attending():
            logits = self.model(
                input_ids=tokens[:, None],
                attention_mask=self._mask(rows),
                position_ids=rows.places[:, None],
                past_key_values=rows,
                use_cache=True,
            ).logits
        step: torch.Tensor = logits[:, 0].float()
        return step

    def _mask(self, rows: Rows) -> torch.Tensor | dict[str, torch.Tensor]:
        """Return the mask, (rows, 1, 1, reach); one for each type of layer where a model mixes them."""
        dtype = self.model.dtype
        if "sliding_attention" not in self.layer_types:
            return rows.mask(dtype, None if self.layer_types else self.window)[:, None, None]
        return {
            "full_attention": rows.mask(dtype)[:, None, None],
            "sliding_attention": rows.mask(dtype, self.window)[:, None, None],
        }

    @contextmanager
    def _attending(self) -> Iterator[None]:
        """Attend as `_attend` does while the block runs, where the model's attention is plain."""
        config = self.model.config
        if config.model_type in PLAIN_ATTENTION:
            config._attn_implementation = ATTENTION
        try:
            yield
        finally:
            config._attn_implementation = self.own_attention


def _attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Return the attention of one token per row. The query heads that share a key-value head stand in for query
    positions, so that keys and values need not be repeated for them."""
    rows, heads, _one, size = query.shape
    grouped = query.view(rows, key.shape[1], heads // key.shape[1], size)
    attended = scaled_dot_product_attention(grouped, key, value, attn_mask=attention_mask, scale=scaling)
    return attended.reshape(rows, 1, heads, size), None


AttentionInterface.register(ATTENTION, _attend)
