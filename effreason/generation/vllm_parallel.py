"""What vLLM needs to split each layer of a model over several GPUs or, on a CPU, processes (`tensor_parallel`)."""

import os

from transformers import AutoConfig

from effreason.errors import UserError
from effreason.models import Stored

PADDED_TO = 64
"""Before it splits the vocabulary, vLLM pads it to a multiple of this."""


def refuse_uneven_parts(parts: int, model: Stored) -> None:
    """Raise `UserError` where the attention heads or the padded vocabulary cannot be divided into equal parts.

    vLLM itself finds out about the vocabulary only in its workers, whose errors look like those of a machine.
    """
    config = AutoConfig.from_pretrained(
        model.where, revision=model.revision or "main", trust_remote_code=model.trust_remote_code
    ).get_text_config()
    heads = getattr(config, "num_attention_heads", None) or 0
    vocabulary = -(-(getattr(config, "vocab_size", None) or 0) // PADDED_TO) * PADDED_TO
    if heads % parts or vocabulary % parts:
        raise UserError(
            f"vLLM cannot split {model.where} into {parts} parts: it has {heads} attention heads and "
            f"a vocabulary of {vocabulary} tokens, padded to a multiple of {PADDED_TO}.",
            "Set the generation engine's tensor_parallel to a number that divides both.",
        )


def leave_threads_unbound() -> None:
    """Let the processes on a CPU share its cores, unless the user says otherwise.

    vLLM would bind the threads of each to a NUMA node of its own, and fails where there are fewer nodes.
    """
    os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
