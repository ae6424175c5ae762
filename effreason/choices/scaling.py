"""The scheduler of the steps: this machine's own queue, or a Ray cluster."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from effreason.frozen import Frozen


class Local(Frozen):
    """Steps run on this machine and share one queue with its other runs. See docs/gpus.md."""

    kind: Literal["local"] = "local"


class Ray(Frozen):
    """Steps run on nodes of a Ray cluster that have room, with the GPUs that Ray assigns. See docs/scaling.md."""

    kind: Literal["ray"] = "ray"
    address: str | None = Field(None, pattern=r"^[^/\s]+:[0-9]+$")
    """Address of the cluster, such as 127.0.0.1:6379. None means RAY_ADDRESS, or else the cluster that this machine is
    a node of."""
    cores: int = Field(1, ge=1)
    """Cores reserved on the node for each process of a step; also the CPU threads of each process, unless `threads` is
    set."""
    moves: int = Field(3, ge=0)
    """Largest number of times that a step is continued, usually on another node, after its node was lost or its process
    killed."""


def _spelled_out(given: object) -> object:
    return {"kind": given} if isinstance(given, str) else given


Scaling = Annotated[
    Local | Ray,
    Field(discriminator="kind"),
    BeforeValidator(_spelled_out, json_schema_input_type=Local | Ray | Literal["local", "ray"]),
]
"""The scheduler, written as a table or as the bare kind: `engine = "ray"`."""
