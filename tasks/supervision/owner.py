"""The process that works for a container or a run, written on it as labels: found when nothing else is left."""

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Self

LABEL = "effreason."
"""The prefix of our labels, on containers and on flow runs."""


class Owner(NamedTuple):
    """The process that launched a container, or that works for a flow run.

    Process IDs are reused, so the start time belongs to the identity.
    """

    host: str
    process: int
    start: str

    @classmethod
    def this_process(cls) -> Self:
        return cls(socket.gethostname(), os.getpid(), _start_of(os.getpid()))

    @classmethod
    def of(cls, labels: Mapping[str, Any]) -> Self:
        """Return the owner that the labels name. Raises `KeyError` if they name none."""
        return cls(*(kind(labels[LABEL + name]) for name, kind in cls.__annotations__.items()))

    def has(self, labels: Mapping[str, Any]) -> bool:
        """Return whether the labels name this owner."""
        return self.labels().items() <= labels.items()

    def labels(self) -> dict[str, str]:
        return {LABEL + name: str(value) for name, value in self._asdict().items()}

    def is_elsewhere(self) -> bool:
        """Return whether the owner is on another host, so that its state is unknown here."""
        return self.host != socket.gethostname()

    def is_dead(self) -> bool:
        """Return whether the process has ended; False if that is unknown, on another host or in a container."""
        return not self.is_elsewhere() and _start_of(self.process) != self.start

    def is_alive(self) -> bool:
        """Return whether the process is alive; False if that is unknown, too."""
        return not self.is_elsewhere() and _start_of(self.process) == self.start


def _start_of(process: int) -> str:
    """Return when the process started, in ticks of the kernel's clock; "none" if there is no such process.

    Without /proc the start of a running process is "unknown".
    """
    if not Path("/proc/self/stat").exists():
        with suppress(ProcessLookupError):
            os.kill(process, 0)
            return "unknown"
        return "none"
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19]
    except (FileNotFoundError, ProcessLookupError):
        return "none"
