"""Artifacts in a folder of this machine, or of a file system that several machines share."""

import errno
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from effreason.store.sealing import SealedStore
from effreason.store.shelf import Entry, disk_errors

CHUNK_BYTES = 1 << 20
NO_HARD_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS})


class FolderStore(SealedStore):
    """A store in the folder `root`, which is made when something is first stored."""

    def __init__(self, root: Path) -> None:
        super().__init__(FolderShelf(root))


class FolderShelf:
    """A shelf whose keys are paths below `root`. What is written counts once it is on the disk, not in a cache."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def exclusive(self) -> bool:
        """Whether the file system has hard links, which some FAT and network file systems lack."""
        with disk_errors(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            original = self._partial(self.root, b"")
            link = original.with_name(original.name + "-link")
            try:
                os.link(original, link)
            except OSError as error:
                if error.errno in NO_HARD_LINKS:
                    return False
                raise
            finally:
                original.unlink()
            link.unlink()
            return True

    def where(self, key: str) -> str:
        return str(self.root / key)

    def continues(self, size: int) -> bool:
        return False

    def put(self, key: str, source: Path, count: Callable[[int], object]) -> None:
        target = self.root / key
        with disk_errors(self.root):
            target.parent.mkdir(parents=True, exist_ok=True)
            with source.open("rb") as original, target.open("wb") as copy:
                while chunk := original.read(CHUNK_BYTES):
                    copy.write(chunk)
                    count(len(chunk))
                os.fsync(copy.fileno())
            _folder_to_disk(target.parent)

    def write(self, key: str, content: bytes) -> None:
        target = self.root / key
        with disk_errors(self.root):
            os.replace(self._partial(target.parent, content), target)
            _folder_to_disk(target.parent)

    def write_first(self, key: str, content: bytes) -> None:
        target = self.root / key
        with disk_errors(self.root):
            partial = self._partial(target.parent, content)
            with suppress(FileExistsError):
                os.link(partial, target)
            partial.unlink(missing_ok=True)
            _folder_to_disk(target.parent)

    def read(self, key: str) -> bytes | None:
        with disk_errors(self.root):
            try:
                return (self.root / key).read_bytes()
            except FileNotFoundError:
                return None

    def size(self, key: str) -> int | None:
        with disk_errors(self.root):
            try:
                return (self.root / key).stat().st_size
            except FileNotFoundError:
                return None

    def chunks(self, key: str, size: int) -> Iterator[bytes]:
        with disk_errors(self.root), (self.root / key).open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    def keys(self, folder: str) -> Iterator[str]:
        with disk_errors(self.root):
            for parent, _, names in os.walk(self.root / folder, onerror=_unless_missing):
                for name in names:
                    yield Path(parent, name).relative_to(self.root).as_posix()

    def entries(self, folder: str) -> Iterator[Entry]:
        for key in self.keys(folder):
            with disk_errors(self.root), suppress(FileNotFoundError):
                status = (self.root / key).stat()
                yield Entry(key, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))

    def remove(self, entry: Entry) -> None:
        """Remove a file and the folders left empty, except those of whole steps, where others may be at work."""
        with disk_errors(self.root):
            (self.root / entry.key).unlink(missing_ok=True)
        steps = 2 if entry.key.startswith("working/") else 1
        for parent in list(Path(entry.key).parents)[: -1 - steps]:
            with suppress(OSError):  # not empty
                (self.root / parent).rmdir()

    def clear(self, folder: str, sparing: tuple[str, ...] = ()) -> None:
        with disk_errors(self.root):
            for key in self.keys(folder):
                if not key.startswith(sparing):
                    (self.root / key).unlink(missing_ok=True)
            for parent, _, _ in os.walk(self.root / folder, topdown=False):
                with suppress(OSError):  # not empty: spared, or another process writes there
                    os.rmdir(parent)

    def _partial(self, folder: Path, content: bytes) -> Path:
        """Write a file of its own name in `folder`, to be moved or linked to its place when whole."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f".partial-{secrets.token_hex(8)}"
        try:
            with path.open("wb") as file:
                file.write(content)
                os.fsync(file.fileno())
        except OSError:
            path.unlink(missing_ok=True)
            raise
        return path


def _unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _folder_to_disk(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
