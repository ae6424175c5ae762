"""The interface to Ray: the resources of a cluster, and actors on its nodes.

An actor holds its GPUs from its creation until it is killed. When its node is lost, Ray restarts it on another node and
repeats the pending calls. It dies with this process, even if that is killed by SIGKILL.
"""

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError

from effreason.choices import Launcher, Ray
from effreason.errors import StepFailure, UserError
from tasks.ray.step_actor import Heard, Mark, Placed, StepActor
from tasks.running.launchers import Work
from tasks.running.process import GRACE_SECONDS, TICK_SECONDS, Stopped

QUESTIONS_AT_ONCE = 4
"""Concurrent calls of an actor: one for the output of the step, one to end it, and room for those that Ray repeats."""
KNOCKING_SECONDS = 5.0


@dataclass(frozen=True)
class Claim:
    """The resources that a step needs on one node."""

    gpus: float
    cores: int


class Cluster:
    """A Ray cluster, which this process has joined."""

    def __init__(self, choice: Ray) -> None:
        """Join the cluster. Raises `UserError` if none answers."""
        self._moves = choice.moves
        self._joined = not ray.is_initialized()
        if self._joined:
            _join(choice.address or os.environ.get("RAY_ADDRESS") or "auto")

    def leave(self) -> None:
        """Leave the cluster; whatever this process still has there is killed."""
        if self._joined:
            ray.shutdown()

    def most_gpus(self) -> int:
        """Return the largest number of GPUs on one node, free or not."""
        return max((int(node["Resources"].get("GPU", 0)) for node in ray.nodes() if node["Alive"]), default=0)

    def free(self) -> str:
        """Return what is free, such as `1 of 4 GPUs and 3 of 16 cores free`."""
        return f"{_free('GPU')} GPUs and {_free('CPU')} cores free"

    def actor(self, claim: Claim, launcher: Launcher, arguments: Sequence[str]) -> "RemoteActor":
        """Request an actor, which may take long to come and has to be given back."""
        actor = (
            ray.remote(_ActorOnNode)
            .options(
                num_gpus=claim.gpus,
                num_cpus=claim.cores,
                max_restarts=self._moves,
                max_task_retries=-1,  # as often as the actor is restarted
                max_concurrency=QUESTIONS_AT_ONCE,
            )
            .remote(launcher, arguments, claim.gpus)
        )
        return RemoteActor(actor)


class RemoteActor:
    """A handle of one step actor, for use in the flow."""

    def __init__(self, actor: Any) -> None:
        self.good = True
        """Whether another step may have the actor: no step has failed on it, and its node was not lost."""
        self._actor = actor
        self._come = actor.placed.remote()
        self._last: Placed | None = None

    def come(self, within_seconds: float = 0) -> bool:
        """Wait for the actor, at most `within_seconds`, and return whether it is there."""
        arrived, _ = ray.wait([self._come], timeout=within_seconds)
        return bool(arrived)

    def placed(self) -> Placed:
        """Return where the actor is, once it has come. Raises `StepFailure` if it was lost before."""
        placed: Placed = self._answer(self._come)
        self._last = placed
        return placed

    def heard(self, work: Work, mark: Mark, stopping: Event) -> Heard:
        """Return what `StepActor.heard` returns; raise what it raises, and the following.

        Raises:
            Stopped: soon after `stopping` was set.
            StepFailure: also if the actor was lost too often.
        """
        asked = self._actor.heard.remote(work, mark)
        while not ray.wait([asked], timeout=TICK_SECONDS)[0]:
            if stopping.is_set():
                raise Stopped
        heard: Heard = self._answer(asked)
        self._last = heard.placed
        if stopping.is_set() and not heard.over:
            raise Stopped
        return heard

    def give_back(self) -> None:
        """End the step that runs on the actor, and the actor."""
        if self.come():
            ray.wait([self._actor.leave.remote()], timeout=GRACE_SECONDS + 2)
        ray.kill(self._actor)

    def _answer(self, asked: Any) -> Any:
        try:
            return ray.get(asked)
        except RayTaskError as error:
            raise error.cause from None
        except RayActorError as error:
            raise _loss(self._last, str(error)) from error
        except RayError as error:
            raise StepFailure(
                f"The Ray cluster could not run the step ({_first_line(error)}).",
                "Check `ray status`, and run it again.",
            ) from error


def lives(node: Placed) -> bool:
    """Return whether the cluster still has the node of an actor, even if the actor itself was lost."""
    return any(each["NodeID"] == node.number and each["Alive"] for each in ray.nodes())


def _loss(last: Placed | None, told: str) -> StepFailure:
    """Return the error for an actor that Ray does not restart any more; `told` is Ray's message."""
    if last is None or not lives(last):
        return StepFailure(
            f"The node that ran the step was lost ({_first_line(told)}).",
            "Check the nodes (`ray status`), and run the experiment again to continue from its last checkpoint.",
        )
    cause = ", as the system and Ray do when memory runs out" if "memory" in told else f" ({_first_line(told)})"
    return StepFailure(
        f"The process of the step was killed on {last.node}, which is still up{cause}.",
        "Free memory there, or lower `parallel` or `tokens_per_microbatch`, and run again.",
    )


class _ActorOnNode(StepActor):
    def __init__(self, launcher: Launcher, arguments: Sequence[str], gpus: float) -> None:
        devices = tuple(str(gpu) for gpu in ray.get_gpu_ids())
        node = Placed(ray.util.get_node_ip_address(), ray.get_runtime_context().get_node_id(), devices)
        super().__init__(node, launcher, arguments, gpus)


def _join(address: str) -> None:
    with _signals_kept():
        try:
            _knock(address)
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
        except (OSError, RuntimeError, ValueError, RayError) as error:
            raise UserError(
                f"No Ray cluster can be joined at {address} ({_first_line(error)}).",
                "Start one, correct `runtime.engine.address` or RAY_ADDRESS, or remove `runtime.engine` to run here.",
            ) from error


def _knock(address: str) -> None:
    """Raise `OSError` or `ValueError` if nothing listens at the address: Ray itself would try for two minutes."""
    if address != "auto":
        host, _, port = address.rpartition(":")
        socket.create_connection((host, int(port)), KNOCKING_SECONDS).close()


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Restore the SIGTERM handler, by which Prefect ends a flow in good order and which Ray replaces with its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)


def _free(kind: str) -> str:
    free: Mapping[str, float] = ray.available_resources()
    there: Mapping[str, float] = ray.cluster_resources()
    return f"{free.get(kind, 0):g} of {there.get(kind, 0):g}"


def _first_line(error: object) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")
