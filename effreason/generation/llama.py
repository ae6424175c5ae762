"""A leaner decoding step for small Llamas on a CPU, where most time goes between operators and into moving the cache.

The same arithmetic as transformers' `LlamaForCausalLM`, in about a third of the operators:

    queries, keys and values are one product, gate and up projection another
    1/√size is in the queries' weights, and rotation (Su et al. 2021) reads tables of cosines and signed sines
    residuals are added by the product that makes them
    tokens are written at flat places that are found once a step for all layers
    scores and sums of values are batched products, one for each key-value head of each row

The joined weights are copies, made at every call of a generator (under a millisecond for the built-in model), so that
what training has changed is seen.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.linalg import vector_norm
from torch.nn.functional import embedding, linear, silu
from transformers import LlamaForCausalLM, PreTrainedModel
from transformers.models.llama.modeling_llama import LlamaDecoderLayer, LlamaRMSNorm

from effreason.generation.cache import Layer, Rows
from effreason.generation.decoder import Decoder

MOST_PARAMETERS = 20_000_000
"""The largest model: beyond, products outweigh what lies between them, and copied weights take much memory."""

STATIC_ROTATION = frozenset({"default", "linear", "llama3", "yarn"})
"""Kinds of rotation that depend on a token's place alone."""


@dataclass(frozen=True)
class _Block:
    """The joined weights of one layer."""

    queries_keys_values: torch.Tensor
    output: torch.Tensor
    gate_up: torch.Tensor
    down: torch.Tensor


class LlamaDecoder(Decoder):
    """Decodes a model for which `suits` holds."""

    in_waves = True

    def __init__(self, model: LlamaForCausalLM) -> None:
        super().__init__(model)
        config = model.config
        self.heads, self.kept_heads = config.num_attention_heads, config.num_key_value_heads
        self.size = model.model.layers[0].self_attn.head_dim
        self.floor = torch.tensor((config.hidden_size * config.rms_norm_eps) ** 0.5)
        self.embedding = model.get_input_embeddings().weight
        self.head = _scaled(model.get_output_embeddings().weight, model.model.norm)
        self.blocks = [_joined(layer) for layer in model.model.layers]
        self.turns = torch.empty(0)

    def step(self, tokens: torch.Tensor, rows: Rows) -> torch.Tensor:
        if len(self.turns) < rows.length:
            self.turns = self._turns(rows.length)
        turns = self.turns[rows.places]
        mask = rows.mask(torch.float32)[:, None]
        places = self._flat_places(rows)
        hidden = embedding(tokens, self.embedding)
        for block, kept in zip(self.blocks, rows.layers, strict=True):
            states = linear(self._normed(hidden), block.queries_keys_values)
            attended = self._attended(states, turns, mask, places, kept)
            hidden = torch.addmm(hidden, attended, block.output)
            gate, up = linear(self._normed(hidden), block.gate_up).chunk(2, dim=-1)
            hidden = torch.addmm(hidden, silu(gate).mul_(up), block.down)
        return linear(self._normed(hidden), self.head)

    def _attended(
        self,
        states: torch.Tensor,
        turns: torch.Tensor,
        mask: torch.Tensor,
        places: torch.Tensor,
        kept: Layer,
    ) -> torch.Tensor:
        """Store the keys and values of `states` (rows, all heads · size); return the attention (rows, heads · size)."""
        states = states.view(len(states), -1, self.size)
        turned, values = states[:, : -self.kept_heads], states[:, -self.kept_heads :]
        turned = torch.addcmul(turned * turns[:, :1], turned.roll(self.size // 2, -1), turns[:, 1:])
        all_keys, all_values = kept.write(places, turned[:, self.heads :], values)
        queries = turned[:, : self.heads].reshape(len(all_keys), -1, self.size)
        scores = torch.bmm(queries, all_keys.transpose(1, 2))
        scores.view(len(states), self.heads, -1).add_(mask)
        return torch.bmm(scores.softmax(dim=-1), all_values).view(len(states), -1)

    def _flat_places(self, rows: Rows) -> torch.Tensor:
        """Return the place of each row's token in a layer seen as (capacity · key-value heads · length, size)."""
        first = rows.order[:, None] * self.kept_heads + torch.arange(self.kept_heads)
        flat: torch.Tensor = first * rows.length + rows.places[:, None]
        return flat.view(-1)

    def _normed(self, hidden: torch.Tensor) -> torch.Tensor:
        """Divide by √(sum of squares + size · epsilon); the rest of RMSNorm is in the weights that follow."""
        normed: torch.Tensor = hidden / torch.hypot(vector_norm(hidden, dim=-1, keepdim=True), self.floor)
        return normed

    def _turns(self, length: int) -> torch.Tensor:
        """Return cosines and sines of every place: (length, 2, size). Half of the sines are negative for rotation."""
        cosines, sines = self.model.model.rotary_emb(self.embedding, torch.arange(length)[None])
        sines[..., : self.size // 2] *= -1
        return torch.stack([cosines[0], sines[0]], dim=1)


def suits(model: PreTrainedModel) -> bool:
    """Return whether this is a small, unmodified Llama (no adapters, no biases), in float32 on a CPU."""
    return (
        type(model) is LlamaForCausalLM
        and model.device.type == "cpu"
        and model.dtype == torch.float32
        and model.num_parameters() <= MOST_PARAMETERS
        and model.config.hidden_act == "silu"
        and model.config.rope_parameters["rope_type"] in STATIC_ROTATION
        and all(type(part) is nn.Linear and part.bias is None for part in _projections(model))
    )


def _projections(model: LlamaForCausalLM) -> list[nn.Module]:
    return [
        part
        for layer in model.model.layers
        for block in (layer.self_attn, layer.mlp)
        for name, part in block.named_children()
        if name.endswith("_proj")
    ]


def _joined(layer: LlamaDecoderLayer) -> _Block:
    attention, mlp = layer.self_attn, layer.mlp
    queries = attention.q_proj.weight * attention.scaling
    states = torch.cat([queries, attention.k_proj.weight, attention.v_proj.weight])
    return _Block(
        queries_keys_values=_scaled(states, layer.input_layernorm),
        output=attention.o_proj.weight.T,
        gate_up=_scaled(torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight]), layer.post_attention_layernorm),
        down=mlp.down_proj.weight.T,
    )


def _scaled(weight: torch.Tensor, norm: LlamaRMSNorm) -> torch.Tensor:
    """Return a weight that takes vectors of length 1 where it took the output of `norm`."""
    scaled: torch.Tensor = weight * (norm.weight * len(norm.weight) ** 0.5)
    return scaled
