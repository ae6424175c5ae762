"""Files of artifacts that were read from a bucket, kept on this machine for the next step that reads them.

A file lies under its SHA-256 and is compared with it whenever it is used, so nothing that happens to the cache can
reach a step. Files are copied in and out, not linked: a step may change what it has fetched. Several processes, and
several stores, may share one folder; what was used longest ago leaves first.
"""

import fcntl
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from effreason.artifacts import StoredFile
from effreason.choices import S3Home

CHUNK_BYTES = 1 << 20
ABANDONED_SECONDS = 3600.0
"""The age at which a partial file has lost its writer; copying one file into the cache takes less."""


class Cache:
    """A cache of at most about `limit_bytes` in `folder`. If the folder is unusable, everything is read from the
    store."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self._folder = folder
        self._limit_bytes = limit_bytes

    def take(self, file: StoredFile, target: Path) -> bool:
        """Copy the file to `target`, if it is cached and undamaged; return whether it was."""
        held = self._folder / file.sha256
        try:
            original = held.open("rb")
        except OSError:
            return False
        digest = hashlib.sha256()
        with original, target.open("wb") as copy:
            while chunk := original.read(CHUNK_BYTES):
                digest.update(chunk)
                copy.write(chunk)
        sound = digest.hexdigest() == file.sha256
        with suppress(OSError):  # somebody else removed it, or the folder is only to be read
            os.utime(held) if sound else held.unlink()
        return sound

    def keep(self, file: StoredFile, source: Path) -> None:
        """Keep a copy of `source`, whose digest has been verified, and evict what no longer fits."""
        if file.size > self._limit_bytes:
            return
        with suppress(OSError):  # a cache that is full or only to be read costs time, not the step
            self._folder.mkdir(parents=True, exist_ok=True)
            partial = self._folder / f".partial-{secrets.token_hex(8)}"
            try:
                shutil.copyfile(source, partial)
                os.replace(partial, self._folder / file.sha256)
            finally:
                partial.unlink(missing_ok=True)
            with self._alone():
                self._shrink()

    def _shrink(self) -> None:
        by_use = sorted(self._held(), key=lambda held: held[1].st_mtime)
        total = sum(status.st_size for _, status in by_use)
        for path, status in by_use:
            abandoned = path.name.startswith(".partial-") and time.time() - status.st_mtime > ABANDONED_SECONDS
            if total > self._limit_bytes or abandoned:
                path.unlink(missing_ok=True)
                total -= status.st_size

    def _held(self) -> Iterator[tuple[Path, os.stat_result]]:
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):
                yield path, path.stat()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Let no other process evict files meanwhile: two that count at once would evict twice as much."""
        lock = os.open(self._folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def cache_of(home: S3Home) -> Cache | None:
    """Return the cache that `home` asks for."""
    if home.cache_bytes == 0:
        return None
    shared = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(home.cache_folder) if home.cache_folder else Path(shared) / "effreason" / "artifacts"
    return Cache(folder, home.cache_bytes)
