"""The folder of a step that runs as a process: its order, and what it and its libraries write beside the store.

It goes with the step, however that ends. One whose launcher was killed too goes when the next step comes by: nobody
holds its lock any more, which the launcher has, and the step and whatever that has forked.
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
    """Made by `scratch`; read by `ProcessLauncher`."""

    folder: Path
    lock: int
    """The descriptor that a step has to inherit."""


@contextmanager
def scratch() -> Iterator[Scratch]:
    """A folder for one step, gone when the block is left. Those of the dead are removed first."""
    _remove_those_of_the_dead()
    made = _made()
    try:
        yield made
    finally:
        shutil.rmtree(made.folder, ignore_errors=True)
        os.close(made.lock)


def _made() -> Scratch:
    """Somebody who removes those of the dead may come between the folder and its lock: then another is made."""
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
        with suppress(FileNotFoundError, NotADirectoryError, PermissionError):  # gone by now, or somebody else's
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            except BlockingIOError:
                continue
            finally:
                os.close(lock)
