"""What finds a place for each step: this machine's own queue, or a Ray cluster."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from effreason.frozen import Frozen


class Local(Frozen):
    """On this machine, in turn with all that runs on it. docs/gpus.md."""

    kind: Literal["local"] = "local"


class Ray(Frozen):
    """On the node of a Ray cluster that has room, with the GPUs that Ray gives. docs/scaling.md."""

    kind: Literal["ray"] = "ray"
    address: str | None = Field(None, pattern=r"^[^/\s]+:[0-9]+$")
    """Such as 127.0.0.1:6379; None is that of RAY_ADDRESS, or else the cluster that this machine is a node of."""
    cores: int = Field(1, ge=1)
    """Of its node, for each process of a step; also the CPU threads of each, unless `threads` says how many."""
    moves: int = Field(3, ge=0)
    """How often at most a step goes on, mostly elsewhere, because its node was lost or its process killed."""


def _spelled_out(given: object) -> object:
    return {"kind": given} if isinstance(given, str) else given


Scaling = Annotated[
    Local | Ray,
    Field(discriminator="kind"),
    BeforeValidator(_spelled_out, json_schema_input_type=Local | Ray | Literal["local", "ray"]),
]
"""A table, or the bare kind: `engine = "ray"`."""
