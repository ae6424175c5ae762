"""Files of an artifact or a checkpoint on their way to a shelf and back, each known by its size and SHA-256.

    PLACE/ATTEMPT/path/of/file     as the writer of one attempt stored it
    PLACE/DIGEST/path/of/file      a file so large that the next writer of the same bytes should go on with it

DIGEST is the first 16 hex digits of the file's SHA-256. Writers that disagree in a single byte never meet there.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from effreason.artifacts import StoredFile
from effreason.errors import EffreasonError
from effreason.progress import Reporter
from effreason.store.cache import Cache
from effreason.store.meter import Meter
from effreason.store.shelf import Shelf, disk_errors


def inventory(folder: Path, shelf: Shelf) -> tuple[StoredFile, ...]:
    """Return every file below `folder` with its size and digest, sorted by path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return tuple(_stored(path, folder, shelf) for path in files)


def file_key(place: str, attempt: str, file: StoredFile) -> str:
    return f"{place}/{file.sha256[:16] if file.shared else attempt}/{file.path}"


def put_all(shelf: Shelf, place: str, attempt: str, files: Sequence[StoredFile], folder: Path, tell: Reporter) -> None:
    """Store every file below `folder`."""
    meter = Meter("upload", sum(file.size for file in files), tell)
    for file in files:
        shelf.put(file_key(place, attempt, file), folder / file.path, meter.add)


def copy_all(
    shelf: Shelf,
    place: str,
    attempt: str,
    files: Sequence[StoredFile],
    into: Path,
    tell: Reporter,
    cache: Cache | None = None,
) -> str | None:
    """Copy all `files` below `into`, or none of them; return the fault of the first that differs."""
    meter = Meter("fetch", sum(file.size for file in files), tell)
    with disk_errors(into):
        into.parent.mkdir(parents=True, exist_ok=True)
        beside = into if into.is_dir() else into.parent
        with tempfile.TemporaryDirectory(prefix=".fetching-", dir=beside) as scratch:
            for file in files:
                key, target = file_key(place, attempt, file), Path(scratch, file.path)
                if (fault := _copy(shelf, key, file, target, meter, cache)) is not None:
                    return fault
            into.mkdir(exist_ok=True)
            for file in files:
                (into / file.path).parent.mkdir(parents=True, exist_ok=True)
                os.replace(Path(scratch, file.path), into / file.path)
    return None


def fault_of(shelf: Shelf, key: str, file: StoredFile, sink: Callable[[bytes], object]) -> str | None:
    """Read one file into `sink` and return what is wrong with it, if anything."""
    size = shelf.size(key)
    if size is None:
        return f"{file.path} is missing"
    if size != file.size:
        return f"{file.path} has {size} bytes instead of {file.size}"
    digest = hashlib.sha256()
    for chunk in shelf.chunks(key, size):
        digest.update(chunk)
        sink(chunk)
    return None if digest.hexdigest() == file.sha256 else f"{file.path} differs from its SHA-256"


def sweep(shelf: Shelf, folder: str, sparing: tuple[str, ...] = ()) -> None:
    """Clear if possible: litter costs some space; finished work and the true reason of a failure are worth more."""
    with suppress(EffreasonError):
        shelf.clear(folder, sparing)


def _stored(path: Path, folder: Path, shelf: Shelf) -> StoredFile:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = file.tell()
    name = path.relative_to(folder).as_posix()
    return StoredFile(path=name, size=size, sha256=digest, shared=shelf.continues(size))


def _copy(shelf: Shelf, key: str, file: StoredFile, target: Path, meter: Meter, cache: Cache | None) -> str | None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if cache is not None and cache.take(file, target):
        meter.add(file.size)
        return None
    with target.open("wb") as copy:

        def write(chunk: bytes) -> None:
            copy.write(chunk)
            meter.add(len(chunk))

        fault = fault_of(shelf, key, file, write)
    if fault is None and cache is not None:
        cache.keep(file, target)
    return fault
