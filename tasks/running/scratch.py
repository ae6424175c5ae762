"""The scratch folder of a step that runs as a process, for its order and for what is written outside the store.

The folder is removed with the step, however the step ends. If the launcher was killed too, the next step removes the
folder: nobody holds its lock any more, which the launcher, the step and every process that it forked share.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

PREFIX = "effreason-step-"


@dataclass(frozen=True)
class Scratch:
    """A scratch folder and its lock. Made by `scratch`; read by `ProcessLauncher`."""

    folder: Path
    lock: int
    """The file descriptor that the step has to inherit."""


@contextmanager
def scratch() -> Iterator[Scratch]:
    """Make a folder for one step, removed when the block is left. Folders of dead steps are removed first."""
    _remove_those_of_the_dead()
    made = _made()
    try:
        yield made
    finally:
        shutil.rmtree(made.folder, ignore_errors=True)
        os.close(made.lock)


def _made() -> Scratch:
    """Make and lock a folder; if another process has removed it before it was locked, make another."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        with suppress(FileNotFoundError):
            lock = os.open(folder, os.O_RDONLY)
            fcntl.flock(lock, fcntl.LOCK_SH)
            if folder.exists():
                return Scratch(folder, lock)
            os.close(lock)


def _remove_those_of_the_dead() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(FileNotFoundError, NotADirectoryError, PermissionError):  # already gone, or another user's
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            except BlockingIOError:
                continue
            finally:
                os.close(lock)
