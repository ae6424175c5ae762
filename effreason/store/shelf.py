"""A shelf keeps bytes under keys, in a folder or in a bucket; what the bytes mean is for `sealing` to say.

A key is a relative path with forward slashes, and no key is the beginning of another up to a slash.
"""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from effreason.errors import EffreasonError, StepFailure, UserError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
NOT_A_FOLDER = frozenset({errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG})


class Unreachable(StepFailure):
    """The failure that no answer came in time; what was asked for last may have been done all the same."""


class Damaged(StepFailure):
    """The failure that what is stored is not what was sealed."""


@dataclass(frozen=True)
class Entry:
    """A file or an upload that takes room on a shelf. Made by the shelves; read by `cleaning`."""

    key: str
    size: int
    """Bytes."""
    changed: datetime
    """The time of the last change by the clock of the server or of the file system, UTC."""
    upload: str | None = None
    """The number of an unfinished upload under this key; None for a file."""


class Shelf(Protocol):
    """The interface under a store: `FolderShelf` and `S3Shelf`.

    Raises `UserError` when the home does not exist or refuses its user, `StepFailure` when it is full or fails, and
    `Unreachable` when it does not answer.
    """

    @property
    def exclusive(self) -> bool:
        """Whether `write_first` truly lets one writer through; if not, two at the same moment may both pass."""
        ...

    def where(self, key: str) -> str:
        """Return the key as a person finds it."""
        ...

    def continues(self, size: int) -> bool:
        """Return whether a file of so many bytes, put under the key of a `put` that was cut off, is continued."""
        ...

    def put(self, key: str, source: Path, count: Callable[[int], object]) -> None:
        """Store a file of any size; `count` is called, from any thread, with the number of further bytes stored.

        Until it is whole it may be visible, but no manifest names it yet.
        """
        ...

    def write(self, key: str, content: bytes) -> None:
        """Store a few bytes at once: a reader sees all of them or what was there before."""
        ...

    def write_first(self, key: str, content: bytes) -> None:
        """Do the same as `write` unless the key is taken, which is no error. Only where `exclusive`."""
        ...

    def read(self, key: str) -> bytes | None:
        """Return what `write` stored, or None."""
        ...

    def size(self, key: str) -> int | None:
        """Return the bytes under the key; None where there is nothing."""
        ...

    def chunks(self, key: str, size: int) -> Iterator[bytes]:
        """Yield the `size` bytes under the key, in order."""
        ...

    def keys(self, folder: str) -> Iterator[str]:
        """Yield every key below `folder`, in no particular order."""
        ...

    def entries(self, folder: str) -> Iterator[Entry]:
        """Yield every file and every unfinished upload below `folder`, in no particular order."""
        ...

    def remove(self, entry: Entry) -> None:
        """Remove one of `entries`; that it is gone already is no error."""
        ...

    def clear(self, folder: str, sparing: tuple[str, ...] = ()) -> None:
        """Remove every file below `folder` but those whose keys begin with one of `sparing`, and every upload."""
        ...


@contextmanager
def disk_errors(place: Path) -> Iterator[None]:
    """Explain what the operating system refuses at `place` while the block runs."""
    try:
        yield
    except OSError as error:
        raise _explained(error, place) from error


def _explained(error: OSError, place: Path) -> EffreasonError:
    if error.errno in FULL:
        return StepFailure(f"There is no room left to write {place}.", "Free disk space or quota there, and run again.")
    if error.errno in FORBIDDEN:
        return UserError(
            f"Access to {place} is denied ({error.strerror}).", "Change its permissions, or choose another."
        )
    if error.errno in NOT_A_FOLDER:
        return UserError(f"{place} is not a folder that can be used ({error.strerror}).", "Choose another place.")
    return StepFailure(f"{place} failed ({error.strerror}).", "Check its disk, and run again.")
