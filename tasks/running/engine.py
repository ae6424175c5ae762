"""The door to Docker: steps' containers found by their labels, and removed.

Who a container belongs to is written on it, so that it can be found when nothing else is left of the run.
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
"""And the name of a GPU that the step has."""
GRACE_SECONDS = 5
"""From SIGTERM, at which a training saves a checkpoint, to SIGKILL."""
ANSWER_SECONDS = 60
"""Longer than anything but a very busy Docker takes."""

EngineFailure = (DockerException, RequestException)
Mount = docker.types.Mount
Container = Any
"""`docker.models.containers.Container`, which has no types."""


@contextmanager
def engine() -> Iterator[Any]:
    """A client of the Docker that DOCKER_HOST or the usual socket leads to. Raises `UserError` where none answers."""
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
    """Those of steps with these labels, running or not; a label without a value may have any."""
    wanted = [name if value is None else f"{name}={value}" for name, value in labels.items()]
    found: list[Container] = client.containers.list(all=True, filters={"label": wanted}, ignore_removed=True)
    return found


def occupied(gpu: str) -> int:
    """How many containers of steps run on this GPU. Raises `EffreasonError` where Docker cannot say."""
    with engine() as client:
        try:
            found = containers(client, {GPU_LABEL + gpu: None})
        except EngineFailure as error:
            raise StepFailure(
                f"Docker does not report what runs on the GPU {gpu} ({error}).", "Check that Docker is running."
            ) from error
        return sum(each.status == "running" for each in found)


def image_of(client: Any, name: str) -> Any:
    """Raises `UserError` where Docker has no such image."""
    try:
        return client.images.get(name)
    except NotFound as error:
        raise UserError(
            f"Docker has no image {name}.",
            "Build it with `make images`, or pull it and set the launcher's `images` and `tag`.",
        ) from error


def digest_of(image: Any) -> str:
    """By which a registry knows the image, else by which this Docker does."""
    published = image.attrs.get("RepoDigests") or [f"{image.attrs['RepoTags'][0]}@{image.id}"]
    return str(published[0])


def remove(container: Container) -> None:
    """SIGTERM, some seconds for a checkpoint, SIGKILL; and nothing of it is left, its scratch included.

    One that is already being removed by somebody else is left to them.
    """
    with suppress(NotFound):
        container.stop(timeout=GRACE_SECONDS)
    with suppress(NotFound):
        try:
            container.remove(force=True, v=True)
        except APIError as error:
            if error.status_code != 409:  # somebody else is removing it at this moment
                raise


def failure(error: Exception) -> UserError | StepFailure:
    """What is to be told of a Docker that refused to make or to start a container."""
    said = str(getattr(error, "explanation", None) or error)
    if "could not select device driver" in said or "nvidia" in said.lower():
        return UserError(
            f"Docker cannot provide GPUs ({said}).",
            'Install the NVIDIA container toolkit, or set device = "cpu" in [runtime].',
        )
    return StepFailure(f"Docker could not start the step ({said}).", "Check that Docker is running.")
