"""Files that count for as long as somebody holds them locked.

A file is written and locked under another name before it appears under its own, so nobody ever sees one that is half
written or not yet locked. The lock is `flock`'s: it belongs to the open file, which a child process may inherit, and
the kernel drops it when the last process that has the file open is gone, killed ones included. What a file says is
read only while it is locked; an unlocked one is cleared away by whoever comes across it and may.
"""

import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from effreason.errors import StepFailure

MODE = 0o644
"""The file mode: other users read the file and try its lock, for which reading is enough."""
MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class LockedFile:
    """A lock file that this process has written."""

    path: Path
    descriptor: int
    """The open file. A child that inherits it keeps the lock held until it has ended as well."""

    def withdraw(self) -> None:
        """Close the file. The lock stays held while a child has it open."""
        os.close(self.descriptor)
        _text_while_locked(self.path)


def write(folder: Path, text: str) -> LockedFile:
    """Write a locked file whose name sorts after those of all that this machine has written before.

    Raises:
        StepFailure: the folder is full or gone.
    """
    name = f"{time.monotonic_ns():020d}-{secrets.token_hex(4)}"  # one clock for all processes of a machine
    draft = folder / f".{name}"
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            os.fchmod(descriptor, MODE)  # whatever the umask takes away
            with open(descriptor, "w", closefd=False) as file:
                file.write(text)
            draft.rename(folder / name)
        except BaseException:
            os.close(descriptor)
            draft.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise _unusable(folder, error) from error
    return LockedFile(folder / name, descriptor)


def valid(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield name and text of every file that is locked, the oldest first. Raises `StepFailure` as `write` does."""
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise _unusable(folder, error) from error
    for name in names:
        if not name.startswith("."):
            text = _text_while_locked(folder / name)
            if text is not None:
                yield name, text


def _unusable(folder: Path, error: OSError) -> StepFailure:
    return StepFailure(
        f"Leases of devices can no longer be kept in {folder} ({error.strerror}).",
        "Free space there, or set EFFREASON_LEASES to another folder for all runs on this machine.",
    )


def _text_while_locked(path: Path) -> str | None:
    """Return the text of a locked file; None for one that nobody holds, which is then removed."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        # Shared, so that two who try a dead holder's file at once do not take each other for its owner.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.read(descriptor, MOST_BYTES).decode()
    finally:
        os.close(descriptor)
    with suppress(FileNotFoundError, PermissionError):  # cleared by another, or another user's
        path.unlink()
    return None
