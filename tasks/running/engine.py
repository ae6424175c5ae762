"""The interface to Docker: finds the containers of steps by their labels, and removes them.

Labels name the owner of a container, so that it can be found when nothing else is left of the run.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import docker
from docker.errors import APIError, DockerException, NotFound
from requests.exceptions import RequestException

from effreason.errors import StepFailure, UserError
from tasks.supervision.owner import LABEL

STEP_LABEL = f"{LABEL}step"
RUN_LABEL = f"{LABEL}flow-run"
GPU_LABEL = f"{LABEL}gpu."
"""Prefix of a label, followed by the name of a GPU that the step has."""
GRACE_SECONDS = 5
"""Time from SIGTERM, on which a training run saves a checkpoint, to SIGKILL."""
ANSWER_SECONDS = 60
"""Timeout for Docker's answers, which only a very busy Docker exceeds."""

EngineFailure = (DockerException, RequestException)
Mount = docker.types.Mount
Container = Any
"""`docker.models.containers.Container`, which has no types."""


@contextmanager
def engine() -> Iterator[Any]:
    """Yield a client of the Docker at DOCKER_HOST or at the usual socket. Raises `UserError` if it does not respond."""
    try:
        client = docker.from_env(timeout=ANSWER_SECONDS)
        client.ping()
    except EngineFailure as error:
        raise UserError(
            f"Docker does not respond ({error}).",
            'Start it, or set launcher = { kind = "process" } in [runtime].',
        ) from error
    try:
        yield client
    finally:
        client.close()


def containers(client: Any, labels: Mapping[str, str | None] = {STEP_LABEL: None}) -> list[Container]:
    """Return the containers of steps with these labels, running or not; a label given as None may have any value."""
    wanted = [name if value is None else f"{name}={value}" for name, value in labels.items()]
    found: list[Container] = client.containers.list(all=True, filters={"label": wanted}, ignore_removed=True)
    return found


def occupied(gpu: str) -> int:
    """Return how many containers of steps run on this GPU. Raises `EffreasonError` if Docker cannot say."""
    with engine() as client:
        try:
            found = containers(client, {GPU_LABEL + gpu: None})
        except EngineFailure as error:
            raise StepFailure(
                f"Docker does not report what runs on the GPU {gpu} ({error}).", "Check that Docker is running."
            ) from error
        return sum(each.status == "running" for each in found)


def image_of(client: Any, name: str) -> Any:
    """Return the image of this name. Raises `UserError` if Docker does not have it."""
    try:
        return client.images.get(name)
    except NotFound as error:
        raise UserError(
            f"Docker has no image {name}.",
            "Build it with `make images`, or pull it and set the launcher's `images` and `tag`.",
        ) from error


def digest_of(image: Any) -> str:
    """Return the digest of an image in its registry; if it has none, its name and ID in this Docker."""
    published = image.attrs.get("RepoDigests") or [f"{image.attrs['RepoTags'][0]}@{image.id}"]
    return str(published[0])


def remove(container: Container) -> None:
    """Stop a container with SIGTERM and, after some seconds for a checkpoint, SIGKILL; then remove it with its volumes.

    If somebody else is already removing it, leave it to them.
    """
    with suppress(NotFound):
        container.stop(timeout=GRACE_SECONDS)
    with suppress(NotFound):
        try:
            container.remove(force=True, v=True)
        except APIError as error:
            if error.status_code != 409:  # already being removed
                raise


def failure(error: Exception) -> UserError | StepFailure:
    """Return the error to raise if Docker could not create or start a container."""
    said = str(getattr(error, "explanation", None) or error)
    if "could not select device driver" in said or "nvidia" in said.lower():
        return UserError(
            f"Docker cannot provide GPUs ({said}).",
            'Install the NVIDIA container toolkit, or set device = "cpu" in [runtime].',
        )
    return StepFailure(f"Docker could not start the step ({said}).", "Check that Docker is running.")
