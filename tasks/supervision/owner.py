"""Who works for something that may outlive them, written on it as labels: found again when nothing else is left."""

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Self

LABEL = "effreason."
"""How our labels begin, on containers and on flow runs."""


class Owner(NamedTuple):
    """The process that launched a container, or that works for a flow run.

    Numbers of processes come again, with another start.
    """

    host: str
    process: int
    start: str

    @classmethod
    def this_process(cls) -> Self:
        return cls(socket.gethostname(), os.getpid(), _start_of(os.getpid()))

    @classmethod
    def of(cls, labels: Mapping[str, Any]) -> Self:
        """Raises `KeyError` where the labels name none."""
        return cls(*(kind(labels[LABEL + name]) for name, kind in cls.__annotations__.items()))

    def has(self, labels: Mapping[str, Any]) -> bool:
        """Whether the labels name it."""
        return self.labels().items() <= labels.items()

    def labels(self) -> dict[str, str]:
        return {LABEL + name: str(value) for name, value in self._asdict().items()}

    def is_elsewhere(self) -> bool:
        """Where nobody here can see whether it lives."""
        return self.host != socket.gethostname()

    def is_dead(self) -> bool:
        """False where it cannot be known: on another host, or in a container."""
        return not self.is_elsewhere() and _start_of(self.process) != self.start

    def is_alive(self) -> bool:
        """False, too, where it cannot be known."""
        return not self.is_elsewhere() and _start_of(self.process) == self.start


def _start_of(process: int) -> str:
    """In ticks of the kernel's clock, where there is /proc; "none" of a process that is not there."""
    if not Path("/proc/self/stat").exists():
        with suppress(ProcessLookupError):
            os.kill(process, 0)
            return "unknown"
        return "none"
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19]
    except (FileNotFoundError, ProcessLookupError):
        return "none"
