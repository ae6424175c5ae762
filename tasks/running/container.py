"""Each step in a container of its own, with `launcher = { kind = "container" }`. See docs/containers.md.

The order and the secrets are passed through standard input, which the launcher holds open: so they are not in the
configuration of the container, and when the launcher dies, even by SIGKILL, Docker closes the pipe and the step ends.
"""

import os
import selectors
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from threading import Event
from typing import Any

from effreason.choices import Container
from effreason.errors import EffreasonError, StepFailure
from effreason.handover import Handover
from tasks.running import engine
from tasks.running.confinement import Confinement, confinement
from tasks.running.engine import EngineFailure
from tasks.running.launchers import Running, Work, ended_by
from tasks.running.process import CHUNK_BYTES, TICK_SECONDS, Line, Stopped, line_of
from tasks.running.turns import Share
from tasks.supervision.owner import LABEL, Owner

HEADER = struct.Struct(">BxxxL")
"""The header of each piece of output: its stream and its length."""
STANDARD_ERROR = 2
LOG_LIMITS = {"max-size": "10m", "max-file": "2"}
MOST_PROCESSES = 4096
"""Limit on the processes and threads of one container: far more than a step has, far fewer than harm the machine."""
PASSED_ON = ("AWS_", "HF_", "MLFLOW_", "WANDB_")
"""Prefixes of the environment variables that are passed on to a step."""
NOT_PASSED_ON = ("_BUNDLE", "_CACHE", "_DIR", "_FILE", "_HOME", "_PATH", "_PROFILE")
"""Suffixes of variables that are not passed on, since they name files that the container does not have."""


class ContainerLauncher:
    """A launcher that runs steps as Docker containers."""

    def __init__(self, choice: Container) -> None:
        self._choice = choice

    @contextmanager
    def started(self, work: Work, share: Share) -> Iterator[Running]:
        confined = confinement(self._choice, work.order)
        with ExitStack() as left, engine.engine() as client:
            image = engine.image_of(client, confined.image)
            try:
                container = client.containers.create(
                    image.id, self._command(work), **self._settings(work, share, confined, engine.digest_of(image))
                )
                left.callback(_removed, container)
                pipe = _attached(client, container)
                left.callback(pipe.close)
                container.start()
            except EngineFailure as error:
                raise engine.failure(error) from error
            with suppress(OSError):  # if it has already died, its exit code says why
                pipe.sendall(_handover(work, confined))
            deadline = time.monotonic() + self._choice.hours * 3600 if self._choice.hours else None
            yield RunningContainer(work.label, container, pipe, deadline)

    def occupied(self, device: str) -> int:
        return engine.occupied(device)

    def _command(self, work: Work) -> list[str]:
        return ["step", "--until-stdin-closes", work.order.spec.step, "-"]

    def _settings(self, work: Work, share: Share, confined: Confinement, digest: str) -> dict[str, Any]:
        """Return the arguments for `docker.models.containers.create`."""
        memory = int(self._choice.memory_gib * 2**30) if self._choice.memory_gib else None
        return {
            "stdin_open": True,  # and not detached, so StdinOnce is set: it closes when the launcher is gone
            "environment": {"EFFREASON_IMAGE": digest, **confined.environment},
            "labels": _labels(work, share),
            "user": confined.user,
            "mounts": confined.mounts,
            "network_mode": confined.network,
            "device_requests": _gpus(share),
            "mem_limit": memory,
            "memswap_limit": memory,  # equal to mem_limit, so there is no swap
            "nano_cpus": int(self._choice.cpus * 1e9) if self._choice.cpus else None,
            "shm_size": int(self._choice.shared_memory_gib * 2**30),
            "pids_limit": MOST_PROCESSES,
            "read_only": True,
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges"],
            "log_config": {"Type": "json-file", "Config": LOG_LIMITS},
        }


@dataclass(frozen=True)
class RunningContainer:
    """A step that runs in a container. Made by `ContainerLauncher`."""

    label: str
    container: Any
    pipe: socket.socket
    """The standard streams of the container."""
    deadline: float | None
    """Time limit on the clock of `time.monotonic`."""
    output: "Output" = field(default_factory=lambda: Output())

    def lines(self, stopping: Event) -> Iterator[Line]:
        with selectors.DefaultSelector() as selector:
            selector.register(self.pipe, selectors.EVENT_READ)
            while True:
                if selector.select(TICK_SECONDS):
                    chunk = self._heard()
                    yield from self.output.lines_with(chunk)
                    if not chunk:
                        return
                if stopping.is_set():
                    raise Stopped
                if self.deadline is not None and time.monotonic() > self.deadline:
                    raise StepFailure(
                        f"{self.label} exceeded the launcher's `hours` and was stopped.",
                        "Run the experiment again to continue from its last checkpoint, or raise `hours`.",
                    )

    def _heard(self) -> bytes:
        """Return the next piece of output; empty at the end, or if Docker has died, which `failure` then reports."""
        try:
            return self.pipe.recv(CHUNK_BYTES)
        except OSError:
            return b""

    def failure(self) -> EffreasonError:
        try:
            self.container.wait(timeout=engine.GRACE_SECONDS)
            self.container.reload()
        except EngineFailure as error:
            return StepFailure(
                f"The container of {self.label} was lost ({error}).",
                "Check that Docker is running, and run it again.",
            )
        state = self.container.attrs["State"]
        if state["OOMKilled"]:
            return StepFailure(
                f"{self.label} ran out of memory.",
                "Raise the launcher's `memory_gib`, or lower `tokens_per_microbatch`.",
            )
        return ended_by(self.label, state["ExitCode"])


class Output:
    """A parser of the frames in which Docker sends a container's output; it yields lines."""

    def __init__(self) -> None:
        self._frames = b""
        self._partial = {False: b"", True: b""}

    def lines_with(self, chunk: bytes) -> Iterator[Line]:
        """Yield the lines that end in this chunk; an empty chunk is the end, and yields what is left."""
        self._frames += chunk
        while len(self._frames) >= HEADER.size:
            stream, length = HEADER.unpack_from(self._frames)
            if len(self._frames) < HEADER.size + length:
                break
            text, self._frames = self._frames[HEADER.size :][:length], self._frames[HEADER.size + length :]
            logged = stream == STANDARD_ERROR
            *whole, self._partial[logged] = (self._partial[logged] + text).split(b"\n")
            yield from (line_of(each, logged) for each in whole if each.strip())
        if not chunk:
            yield from (line_of(rest, logged) for logged, rest in self._partial.items() if rest.strip())


def _attached(client: Any, container: Any) -> socket.socket:
    """Return the standard streams of a container that is not yet started, as one socket."""
    wanted = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
    stream = client.api.attach_socket(container.id, params=wanted)
    pipe: socket.socket = getattr(stream, "_sock", stream)
    held = pipe.dup() if type(pipe) is socket.socket else pipe  # a plain one would be closed together with `stream`
    held.settimeout(None)
    return held


def _removed(container: Any) -> None:
    """Remove the container; if Docker does not respond, the janitor does so later."""
    with suppress(*EngineFailure):
        engine.remove(container)


def _handover(work: Work, confined: Confinement) -> bytes:
    environment = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(PASSED_ON) and not name.endswith(NOT_PASSED_ON)
    }
    order = work.order.model_copy(update={"store": confined.home})
    return Handover(order=order, environment=environment).model_dump_json().encode() + b"\n"


def _labels(work: Work, share: Share) -> dict[str, str]:
    return {
        engine.STEP_LABEL: work.label,
        engine.RUN_LABEL: work.flow_run,
        f"{LABEL}experiment": work.experiment,
        f"{LABEL}fingerprint": work.order.spec.fingerprint,
        **Owner.this_process().labels(),
        **{engine.GPU_LABEL + gpu: "1" for gpu in share.devices},
    }


def _gpus(share: Share) -> list[dict[str, Any]]:
    if not share.devices:
        return []
    return [{"Driver": "nvidia", "DeviceIDs": list(share.devices), "Capabilities": [["gpu"]]}]
