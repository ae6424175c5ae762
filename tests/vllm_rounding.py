"""How far vLLM may be from the models of transformers that tests compare it with, which compute in float32 on a CPU.

On a CPU vLLM computes in float32 as well, and differs in the order of its sums alone. On a GPU it computes in bfloat16,
whose 8 bits round each activation by up to 0.4%. With the built-in reasoner in bfloat16 and in float32, both in
transformers, the log-probabilities of 2,119 sampled tokens differ by 0.0012 nats in the mean and by 0.08 at most, and
the greedy completions of 128 prompts are all the same. The limits for a GPU leave several times that: its kernels
round in other places, and a tie that rounding decides otherwise changes all that follows in a completion.
`test_vllm_server` asks its server for float32, whatever it runs on.
"""

from collections.abc import Sequence
from importlib.util import find_spec

import torch

from effreason.records import Completion


def _in_float32() -> bool:
    if find_spec("vllm") is None:
        return True
    from vllm.platforms import current_platform

    return bool(current_platform.is_cpu())


IN_FLOAT32 = _in_float32()

TOKEN_NATS = 1e-4 if IN_FLOAT32 else 0.3
"""Of one token's log-probability."""
MEAN_NATS = 1e-4 if IN_FLOAT32 else 0.01
"""In the mean over the tokens of a training step."""
SAME_GREEDY = 1.0 if IN_FLOAT32 else 0.9
"""The share of greedy completions that are the same, token for token."""
SAME_SAMPLED = 1.0 if IN_FLOAT32 else 0.5
"""The share of sampled completions that are the same in another batch; with another seed hardly any is."""


def share_alike(ours: Sequence[Sequence[Completion]], theirs: Sequence[Sequence[Completion]]) -> float:
    """The share of completions that are the same, in tokens, text and whether they were cut."""
    pairs = [pair for groups in zip(ours, theirs, strict=True) for pair in zip(*groups, strict=True)]
    return sum(_said(one) == _said(other) for one, other in pairs) / len(pairs)


def _said(completion: Completion) -> tuple[tuple[int, ...], str, bool]:
    return completion.token_ids, completion.text, completion.truncated


def assert_alike(drawn: Completion, own: torch.Tensor) -> None:
    """`own` are the model's own log-probabilities of the completion's tokens, of shape (tokens,)."""
    torch.testing.assert_close(torch.tensor(drawn.log_probabilities), own, rtol=0, atol=TOKEN_NATS)
