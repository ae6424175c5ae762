"""How the steps of an experiment run: as child processes of the flow, or each in a container of its own."""

from typing import Annotated, Literal

from pydantic import Field

from effreason.frozen import Frozen


class Process(Frozen):
    """Steps run as child processes, with the packages, the network and the rights of whoever runs the experiment."""

    kind: Literal["process"] = "process"


class Container(Frozen):
    """Steps run in containers, with the packages of the images that `make images` builds and no more rights than a step
    needs. See docs/containers.md.
    """

    kind: Literal["container"] = "container"
    images: str = "effreason"
    """Prefix of the image names, such as registry.example.org/effreason."""
    tag: str = "local"
    """The tag of the images."""
    memory_gib: float | None = Field(None, gt=0)
    """Memory limit of one step; None sets no limit."""
    shared_memory_gib: float = Field(1.0, gt=0)
    """Size limit of /dev/shm, which counts towards the memory of the step; the processes of a training run and NCCL
    communicate through it."""
    cpus: float | None = Field(None, gt=0)
    """The most cores that one step may use; None sets no limit."""
    hours: float | None = Field(None, gt=0)
    """Time limit after which a step is ended and counts as failed; None sets no limit."""
    network: str | None = None
    """Docker network of the steps that read from S3 or from the hub. None means the host's network if the S3 server
    listens on the host's loopback, otherwise Docker's default. A step that needs neither has no network."""
    cache: str = "effreason-cache"
    """Volume that keeps what such steps have read, so that the next one need not read it again; if empty, nothing is
    kept."""


Launcher = Annotated[Process | Container, Field(discriminator="kind")]
