"""Whom the chaos run kills, and what is left of a run when it is over."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from chaos_stack import Stack

from tasks.running import engine

STEP = b"--until-stdin-closes"


class Victims:
    """By its name, a way to kill one of each kind; it tells what was killed, or is None where there is none."""

    def __init__(self, stack: Stack, mark: str, experiment: str) -> None:
        self._stack, self._mark, self._experiment = stack, mark, experiment
        self.kinds: dict[str, Callable[[], str | None]] = {
            "step process": self._step_process,
            "step container": self._step_container,
            "worker": self._worker,
            "worker with all that it began": self._worker_and_all,
            "Prefect server": lambda: self._killed(stack.server.pid),
            "S3 server": lambda: self._killed(stack.store.pid),
        }

    def processes(self) -> list[int]:
        """Of the runs: the worker, what it began, and what that began."""
        return list(marked(f"CHAOS_MARK={self._mark}".encode()))

    def containers(self) -> list[engine.Container]:
        with engine.engine() as client:
            found = engine.containers(client, {f"{engine.LABEL}experiment": self._experiment})
            return [container for container in found if engine.STEP_LABEL in container.labels]

    def _step_process(self) -> str | None:
        steps = [pid for pid in self.processes() if STEP in command(pid)]
        return self._killed(steps[0]) if steps else None

    def _step_container(self) -> str | None:
        for container in self.containers():
            if container.status == "running":
                with suppress(*engine.EngineFailure):  # it ended at this moment
                    container.kill("SIGKILL")
                    return f"{container.labels[engine.STEP_LABEL]} ({container.short_id})"
        return None

    def _worker(self) -> str | None:
        return None if self._stack.worker.is_dead() else self._killed(self._stack.worker.pid)

    def _worker_and_all(self) -> str | None:
        """As when the container ends in which a worker lives."""
        if self._stack.worker.is_dead():
            return None
        killed = [pid for pid in self.processes() if self._killed(pid)]
        return f"{len(killed)} processes"

    def _killed(self, pid: int) -> str | None:
        words = command(pid).replace(b"\0", b" ").decode(errors="replace").strip()
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return None
        return f"{pid} {words[-80:]}"


def marked(mark: bytes) -> Iterator[int]:
    """The processes of this machine with `mark` in their environment, but for this one."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark in (folder / "environ").read_bytes().split(b"\0") and int(folder.name) != os.getpid():
                yield int(folder.name)


def children(pid: int) -> set[int]:
    with suppress(OSError):
        return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
    return set()


def command(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""
