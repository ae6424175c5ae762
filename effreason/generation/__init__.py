"""The seam between what wants completions and what makes them.

Rollouts and evaluation ask through the same `Generator`, so what trains is what is measured. Backends:

    sampler        models of transformers, by a decoding loop of our own
    vllm_engine    vLLM in this process; vllm_server: vLLM elsewhere, over HTTP
    scripted       replies from a script, for tests

`engines` opens the one that a spec names.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from effreason.records import Completion


@dataclass(frozen=True, slots=True)
class Request:
    """One prompt and the number of completions wanted. Made by rollouts and evaluation."""

    prompt_ids: tuple[int, ...]
    """The rendered prompt, special tokens included."""
    count: int
    seed: int
    """Completion i of this request depends on the weights, the prompt, this seed and i alone, not on what else is
    in the batch (up to the rounding of batched arithmetic)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The sampling settings, shared by all requests of a call."""

    temperature: float
    """0 is greedy."""
    top_p: float
    max_tokens: int
    """Sampled tokens, the end-of-sequence token not counted: a completion with more is truncated."""


OnCompletion = Callable[[int], None]
"""A callback that gets the number of completions finished so far."""


class Generator(Protocol):
    """Draws completions."""

    def generate(
        self, requests: Sequence[Request], limits: Limits, on_completion: OnCompletion | None = None
    ) -> list[list[Completion]]:
        """Return the `count` completions of each request, in order."""
        ...
