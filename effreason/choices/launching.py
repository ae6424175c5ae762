"""Where the steps of an experiment run: as child processes of the flow, or each in a container of its own."""

from typing import Annotated, Literal

from pydantic import Field

from effreason.frozen import Frozen


class Process(Frozen):
    """With the packages, the network and the rights of whoever runs the experiment."""

    kind: Literal["process"] = "process"


class Container(Frozen):
    """With the packages of the images that `make images` builds, and no more rights than a step needs.

    docs/containers.md.
    """

    kind: Literal["container"] = "container"
    images: str = "effreason"
    """What their names begin with, such as registry.example.org/effreason."""
    tag: str = "local"
    memory_gib: float | None = Field(None, gt=0)
    """Most that one step may have; None sets no limit."""
    shared_memory_gib: float = Field(1.0, gt=0)
    """Of that, the most in /dev/shm, through which the processes of one training and NCCL speak."""
    cpus: float | None = Field(None, gt=0)
    hours: float | None = Field(None, gt=0)
    """After which a step is ended and has failed; None lets it take its time."""
    network: str | None = None
    """The Docker network of steps that read from S3 or from the hub. None means the host's network if the S3 server
    listens on its loopback, else Docker's default. A step that needs neither has no network."""
    cache: str = "effreason-cache"
    """A volume for what such steps have read, so that the next one need not read it again; empty: nothing is kept."""


Launcher = Annotated[Process | Container, Field(discriminator="kind")]
