"""The bytes of every part of a training and of an evaluation; `phases` adds them up.

The formulas are those of this project's trainer and sampler:

- Full weights are held in float32, and so are their gradients and Adam's two moments. On a GPU products are computed in
  bfloat16 (autocast), for which every linear map is copied while a forward pass and its backward pass last.
- LoRA (Hu et al. 2021, arXiv 2106.09685) holds the frozen weights in bfloat16 on a GPU, the adapters in float32; QLoRA
  (Dettmers et al. 2023, arXiv 2305.14314) holds the linear maps of the layers in 4 bits and all else in float32.
- Logits never exist as a whole: TRL's fused head computes log-probabilities in tiles.
- The sampler reserves keys and values for the rows side by side at their full length, of at most half of what is free.

Activations are those of Llama as transformers computes it, with its attention mask (padding excludes the kernels that
need none); tests compare them with what autograd keeps. Models that join projections (Phi) keep a little less.
"""

from dataclasses import dataclass

from effreason.catalogue import Shape
from effreason.choices import FullWeights, Lora, NoKl, Qlora, Weights
from effreason.planning.devices import Device
from effreason.specs import Training

CPU_MICROBATCH_TOKENS = 2048
"""The trainer's own bound on a micro-batch on a CPU."""
CPU_CACHE_BYTES = 2 << 30
"""The sampler's own bound on keys and values in main memory."""
MOST_ROWS = 256
"""The most completions that the sampler decodes concurrently."""
PREFILL_TOKENS = 16_384
"""Prompt tokens that the sampler reads at a time."""
TILE_TOKENS, TILE_WORDS = 4096, 32_768
"""The tile sizes of the fused head."""

NF4_BYTES = 0.5 + 1 / 64 + 4 / (64 * 256)
"""Bytes of a weight in 4 bits, with its share of the scales, which are quantised themselves."""


@dataclass(frozen=True)
class Sampling:
    """The amount that a call of the sampler is asked for."""

    completions: int
    prompts: int
    prompt_tokens: int
    max_tokens: int

    @property
    def length(self) -> int:
        """Places of a row: one beyond the limit, since the token that ends a completion does not count."""
        return self.prompt_tokens + self.max_tokens + 1


# --------------------------------------------------------------------------------------------------- weights


def in_bfloat16(training: Training, device: Device) -> bool:
    """Return whether products are computed in bfloat16."""
    return training.precision == "bfloat16" or (training.precision == "auto" and device.gpu)


def keeps_reference(training: Training) -> bool:
    """Return whether a second copy of the weights is held for KL: adapters can be switched off instead."""
    return not isinstance(training.kl, NoKl) and isinstance(training.weights, FullWeights)


def adapter_parameters(known: Shape, rank: int) -> int:
    """Return rank · (inputs + outputs), summed over every linear map of every layer."""
    return known.layers * rank * sum(inputs + outputs for inputs, outputs in known.projections)


def trained_parameters(known: Shape, weights: Weights) -> int:
    """Return the number of trained parameters: all, or those of the adapters."""
    return known.parameters if isinstance(weights, FullWeights) else adapter_parameters(known, weights.rank)


def weight_bytes(known: Shape, weights: Weights, half: bool) -> int:
    """Return 4 · parameters in full; 2 (`half`) or 4 frozen; 0.52 · linear maps + 4 · the rest in 4 bits."""
    if isinstance(weights, FullWeights):
        return 4 * known.parameters
    if isinstance(weights, Qlora):
        return round(NF4_BYTES * known.linear_parameters) + 4 * (known.parameters - known.linear_parameters)
    return (2 if half else 4) * known.parameters


def state_bytes(weights: Weights, half: bool) -> int:
    """Return the bytes of a number passed from layer to layer, or waiting in the cache: as the embeddings are held."""
    return 2 if half and isinstance(weights, Lora) else 4


def gradient_bytes(trained: int) -> int:
    """Return 4 · trained parameters: float32 as the parameters are."""
    return 4 * trained


def moment_bytes(trained: int) -> int:
    """Return 8 · trained parameters: Adam's mean and mean square of the gradient (Kingma & Ba 2015), float32."""
    return 8 * trained


def autocast_bytes(known: Shape, weights: Weights) -> int:
    """Return 2 · parameters of the trained linear maps, copied to bfloat16; the output embedding is one of them."""
    if isinstance(weights, FullWeights):
        return 2 * (known.linear_parameters + known.embedding_parameters)
    return 2 * adapter_parameters(known, weights.rank)


# --------------------------------------------------------------------------------------------------- update


def layer_bytes_per_token(known: Shape, weights: Weights, half: bool, row_tokens: int) -> int:
    """Return what autograd keeps of one layer for one token, n being the bytes of a number (2 in bfloat16, else 4):

        norms                                            16h + 8, frozen 8h + 8
        inputs of the projections                        10h in bfloat16, else 8h
        queries, repeated keys and values, their result  4na + 4 for each head
        gate, its activation, up, their product          4ni
        attention mask                                   n for each token of the row
        adapters                                         7nr, and in bfloat16 another 2a

    h the hidden width, a that of all heads, i the inner one, r the rank.
    """
    size = 2 if half else 4
    full = isinstance(weights, FullWeights)
    norms = (16 if full else 8) * known.hidden + 8
    inputs = (10 if half else 8) * known.hidden
    attention = 4 * size * known.attention_width + 4 * known.heads
    feed_forward = 4 * size * known.intermediate
    adapters = 0
    if not isinstance(weights, FullWeights):
        adapters = 7 * size * weights.rank + (2 * known.attention_width if half else 0)
    return norms + inputs + attention + feed_forward + size * row_tokens + adapters


def checkpoint_bytes_per_token(known: Shape, weights: Weights, half: bool) -> int:
    """Return what is kept of one layer under gradient checkpointing: its input."""
    return state_bytes(weights, half) * known.hidden


def activation_bytes(known: Shape, training: Training, half: bool, tokens: int, row_tokens: int) -> int:
    """Return a micro-batch's activations: every layer; or with checkpointing the layers' inputs, and one layer."""
    layer = layer_bytes_per_token(known, training.weights, half, row_tokens)
    if not training.gradient_checkpointing:
        return tokens * known.layers * layer
    return tokens * (known.layers * checkpoint_bytes_per_token(known, training.weights, half) + layer)


def backward_bytes(known: Shape, half: bool, tokens: int) -> int:
    """Return the gradients in flight through one layer: two of its inner width and two of its hidden one."""
    return tokens * (2 if half else 4) * 2 * (known.intermediate + known.hidden)


def head_bytes(known: Shape, training: Training, half: bool, tokens: int) -> int:
    """Return hidden states and their float32 gradient, one tile of logits, one of weights; in full also the gradient
    of the output embedding before it is added to the others."""
    size = 2 if half else 4
    words = min(TILE_WORDS, known.vocabulary)
    tile = size * words * (min(tokens, TILE_TOKENS) + known.hidden)
    states = tokens * known.hidden * 12
    return tile + states + (4 * known.embedding_parameters if isinstance(training.weights, FullWeights) else 0)


# ------------------------------------------------------------------------------------------------- generation


def row_bytes(known: Shape, length: int, bytes_per_number: int) -> int:
    """Return the bytes of the keys and values of one completion at its full length."""
    return length * known.cache_bytes(bytes_per_number)


def rows_side_by_side(known: Shape, asked: Sampling, bytes_per_number: int, free: int, device: Device) -> int:
    """Return the concurrent rows that the sampler chooses: half of the free memory, at most `MOST_ROWS`, at least 1."""
    room = free // 2 if device.gpu else CPU_CACHE_BYTES
    return max(1, min(asked.completions, MOST_ROWS, room // row_bytes(known, asked.length, bytes_per_number)))


def prefill_bytes(known: Shape, asked: Sampling, rows: int, bytes_per_number: int) -> int:
    """Return the bytes for reading prompts, at most one for each row: their keys and values before they are copied
    to rows, and what one layer computes on the way (queries, repeated keys and values, gate, up and product)."""
    tokens = min(PREFILL_TOKENS, min(asked.prompts, rows) * asked.prompt_tokens)
    passing = (4 * known.hidden + 4 * known.attention_width + 3 * known.intermediate) * bytes_per_number
    return tokens * (known.cache_bytes(bytes_per_number) + passing)


def drawing_bytes(known: Shape, rows: int) -> int:
    """Return the bytes of logits and their softmax in float32, and its running sum in float64."""
    return 16 * rows * known.vocabulary
