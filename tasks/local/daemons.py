"""A daemon: one process at a time under a name, which outlives whoever started it.

It holds a lock that the kernel frees when it dies, so that neither a kill nor a number given to another process can
deceive. Beside the lock lie its record, which says where it is to be found, and its log.
"""

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
LOOK_SECONDS = 0.01


@dataclass(frozen=True)
class Listening:
    """The record of a daemon that listens on loopback."""

    pid: int
    port: int

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.port}"


@dataclass(frozen=True)
class Daemon:
    """`NAME.lock`, `NAME.json` and `NAME.log` in a folder."""

    folder: Path
    name: str

    @property
    def log(self) -> Path:
        """What the process writes on its standard output and error."""
        return self._file("log")

    def running(self) -> bool:
        """Whether a process holds the lock."""
        try:
            with self._file("lock").open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def record(self) -> dict[str, Any] | None:
        """That of the process that runs, or of the last one; None where there has been none."""
        try:
            record: dict[str, Any] = json.loads(self._file("json").read_text())
        except FileNotFoundError:
            return None
        return record

    def start(self, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a process that is to acquire the lock; it outlives this one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def acquire(self) -> bool:
        """Hold the lock until this process ends, and whatever it becomes by exec; False where another holds it."""
        lock = os.open(self._file("lock"), os.O_RDWR | os.O_CREAT)
        if not _locked(lock):
            os.close(lock)
            return False
        os.set_inheritable(lock, True)
        return True

    def retract(self) -> None:
        """As the daemon, take the last one's record away, until there is another."""
        self._file("json").unlink(missing_ok=True)

    def publish(self, record: Mapping[str, object]) -> None:
        """As the daemon, say where it is to be found."""
        partial = self._file("partial")
        partial.write_text(json.dumps(record))
        os.replace(partial, self._file("json"))

    def _file(self, suffix: str) -> Path:
        return self.folder / f"{self.name}.{suffix}"


def all_ended(starts: Sequence[subprocess.Popen[bytes]]) -> bool:
    """Whether all processes that were started have ended."""
    return all(start.poll() is not None for start in starts)


def _locked(lock: int) -> bool:
    """Somebody who only looks whether it is held holds it for a moment himself."""
    for _ in range(10):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(LOOK_SECONDS)
        else:
            return True
    return False
