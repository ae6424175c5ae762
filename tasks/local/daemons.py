"""A daemon: one process at a time under a name, which outlives whoever started it.

It holds a lock that the kernel frees when it dies, so neither a kill nor a reused process ID leads to a wrong answer.
Beside the lock are its record, which says where to find it, and its log.
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
    """A daemon with its files `NAME.lock`, `NAME.json` and `NAME.log` in a folder."""

    folder: Path
    name: str

    @property
    def log(self) -> Path:
        """The file of the daemon's standard output and error."""
        return self._file("log")

    def running(self) -> bool:
        """Return whether a process holds the lock."""
        try:
            with self._file("lock").open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def record(self) -> dict[str, Any] | None:
        """Return the record of the running process, or of the last one; None if there has been none."""
        try:
            record: dict[str, Any] = json.loads(self._file("json").read_text())
        except FileNotFoundError:
            return None
        return record

    def start(self, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a process that acquires the lock and outlives this one."""
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
        """Hold the lock until this process ends, even across an exec; return False if another process holds it."""
        lock = os.open(self._file("lock"), os.O_RDWR | os.O_CREAT)
        if not _locked(lock):
            os.close(lock)
            return False
        os.set_inheritable(lock, True)
        return True

    def retract(self) -> None:
        """Remove the record of the last process. Called by the daemon, before it publishes its own."""
        self._file("json").unlink(missing_ok=True)

    def publish(self, record: Mapping[str, object]) -> None:
        """Write the record that says where to find the daemon. Called by the daemon."""
        partial = self._file("partial")
        partial.write_text(json.dumps(record))
        os.replace(partial, self._file("json"))

    def _file(self, suffix: str) -> Path:
        return self.folder / f"{self.name}.{suffix}"


def all_ended(starts: Sequence[subprocess.Popen[bytes]]) -> bool:
    """Return whether all processes that were started have ended."""
    return all(start.poll() is not None for start in starts)


def _locked(lock: int) -> bool:
    """Lock the file, with several attempts: a process that only checks the lock holds it for a moment too."""
    for _ in range(10):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(LOOK_SECONDS)
        else:
            return True
    return False
