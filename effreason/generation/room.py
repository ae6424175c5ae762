"""How long a prompt and its completion may be together."""

from collections.abc import Sequence

from transformers import PretrainedConfig

from effreason.errors import UserError
from effreason.generation import Limits, Request


def positions(config: PretrainedConfig) -> int | None:
    """Return the length up to which a completion does not depend on its batch: the model's positions, if they are
    limited.

    With long-rope it is the length at which transformers switches to the long factors, for all rows of a batch
    together.
    """
    ends = (getattr(config.get_text_config(), "max_position_embeddings", None), _turns_at(config))
    return min((int(end) for end in ends if end is not None), default=None)


def refuse_beyond_positions(requests: Sequence[Request], limits: Limits, config: PretrainedConfig) -> None:
    """Raise `UserError` if a prompt, its completion and the token that ends it are longer than `positions`."""
    room = positions(config)
    if room is None:
        return
    remedy = "Lower max_tokens or shorten the prompt."
    if _turns_at(config) is not None:
        remedy = (
            "Lower max_tokens; or use a vLLM server started with a larger --max-model-len, which takes "
            "the long factors of this model's long-rope for every completion."
        )
    refuse_what_is_too_long(requests, limits, room, remedy)


def refuse_what_is_too_long(requests: Sequence[Request], limits: Limits, room: int, remedy: str) -> None:
    """Raise `UserError` if a prompt, its completion and the token that ends it do not fit into `room` tokens."""
    longest = max((len(request.prompt_ids) for request in requests), default=0)
    if longest + limits.max_tokens + 1 > room:
        raise UserError(
            f"A prompt of {longest} tokens and a completion of up to {limits.max_tokens} do not fit into {room}.",
            remedy,
        )


def _turns_at(config: PretrainedConfig) -> int | None:
    """Return the length that long-rope was trained at; None for any other rotation."""
    rotation = getattr(config.get_text_config(), "rope_parameters", None) or {}
    return int(rotation["original_max_position_embeddings"]) if rotation.get("rope_type") == "longrope" else None
