"""How files become an artifact and artifacts become files again: the same on every shelf.

    seal    files of the attempt → manifest, unless one stands → whatever stands → sweep what does not count
    fetch   manifest → files, each compared with its size and SHA-256 → moved into place together

A checkpoint is sealed likewise by its own small record, `working/ADDRESS/NAME/checkpoint.json`, beside its files in
`working/ADDRESS/NAME/ATTEMPT/`.
"""

import hashlib
import os
import re
import secrets
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import get_args

from pydantic import ValidationError

from effreason.artifacts import Artifact, Manifest, Provenance, StoredFile
from effreason.choices import Name
from effreason.errors import EffreasonError, StepFailure
from effreason.frozen import Frozen
from effreason.specs import Address, Spec, StepName
from effreason.store.shelf import Damaged, Shelf, Unreachable, disk_errors

SEAL = re.compile(r"(\w+/[0-9a-f]{24})/manifest\.json")
"""The key of a manifest, and in it the address."""


class Checkpoint(Frozen):
    """The seal of a checkpoint."""

    name: Name
    attempt: Name
    files: tuple[StoredFile, ...]


class SealedStore:
    """Artifacts on a shelf; see `effreason.store.Store`."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def find(self, address: Address) -> Manifest | None:
        content = self._shelf.read(_manifest_key(address))
        if content is None:
            return None
        try:
            manifest = Manifest.model_validate_json(content)
        except ValidationError as error:
            raise self._damaged(address, "its manifest cannot be read") from error
        if manifest.address != address:
            raise self._damaged(address, f"its manifest is that of {manifest.address}")
        return manifest

    def seal(self, spec: Spec, artifact: Artifact, folder: Path, provenance: Provenance) -> Manifest:
        manifest = Manifest(
            address=spec.address,
            attempt=secrets.token_hex(8),
            spec=spec,
            artifact=artifact,
            files=inventory(folder),
            provenance=provenance,
        )
        try:
            self._write(manifest, folder)
        except Unreachable:  # for all we know the manifest stands, so the files that it names must stay
            raise
        except EffreasonError:
            standing = self._without(manifest)
            if standing is None:
                raise
            return standing
        return self._settled(manifest.address)

    def fetch(self, manifest: Manifest, into: Path, only: Sequence[str] | None = None) -> Path:
        wanted = [file for file in manifest.files if only is None or file.path.startswith(tuple(only))]
        fault = self._copy(_attempt_folder(manifest), wanted, into)
        if fault is not None:
            raise self._damaged(manifest.address, fault)
        return into

    def addresses(self) -> Iterator[Address]:
        for step in sorted(get_args(StepName)):
            seals = (SEAL.fullmatch(key) for key in self._shelf.keys(step))
            yield from sorted(seal[1] for seal in seals if seal)

    def verify(self, manifest: Manifest) -> list[str]:
        folder = _attempt_folder(manifest)
        faults = (self._fault(folder, file, _discard) for file in manifest.files)
        return [f"In {manifest.address}, {fault}." for fault in faults if fault is not None]

    def save_working(self, address: Address, name: str, folder: Path) -> None:
        place = _working_folder(address)
        replaced = self._checkpoint(address, name)
        checkpoint = Checkpoint(name=name, attempt=secrets.token_hex(8), files=inventory(folder))
        attempt = f"{place}/{name}/{checkpoint.attempt}"
        try:
            self._put_all(attempt, checkpoint.files, folder)
            self._shelf.write(_checkpoint_key(address, name), checkpoint.model_dump_json().encode())
        except Unreachable:
            raise
        except EffreasonError:
            self._sweep(attempt)
            raise
        for older in (other for other in self._checkpoint_names(address) if other < name):
            self._sweep(f"{place}/{older}")
        if replaced is not None:
            self._sweep(f"{place}/{name}/{replaced.attempt}")

    def load_working(self, address: Address, into: Path) -> str | None:
        for name in sorted(self._checkpoint_names(address), reverse=True):
            checkpoint = self._checkpoint(address, name)
            if checkpoint is None:
                continue
            attempt = f"{_working_folder(address)}/{name}/{checkpoint.attempt}"
            if self._copy(attempt, checkpoint.files, into) is None:
                return name
        return None

    def clear_working(self, address: Address) -> None:
        self._shelf.clear(_working_folder(address))

    def _write(self, manifest: Manifest, folder: Path) -> None:
        self._put_all(_attempt_folder(manifest), manifest.files, folder)
        key, content = _manifest_key(manifest.address), manifest.model_dump_json(indent=2).encode()
        if self._shelf.exclusive:
            self._shelf.write_first(key, content)
        elif self._shelf.read(key) is None:
            self._shelf.write(key, content)

    def _put_all(self, attempt: str, files: Sequence[StoredFile], folder: Path) -> None:
        for file in files:
            self._shelf.put(f"{attempt}/{file.path}", folder / file.path)

    def _settled(self, address: Address) -> Manifest:
        """The manifest that stands, whoever wrote it; what other attempts left behind is removed.

        Reading it back also answers whether a write whose reply was lost has come through.
        """
        standing = self.find(address)
        if standing is None:
            raise StepFailure(
                f"The manifest of {address} vanished while it was being sealed.",
                f"See to it that nothing else removes files at {self._shelf.where(address)}, and run again.",
            )
        if self._shelf.exclusive:  # otherwise another manifest may yet replace this one and need its files
            self._sweep(address, sparing=(_manifest_key(address), _attempt_folder(standing) + "/"))
        return standing

    def _without(self, failed: Manifest) -> Manifest | None:
        """The manifest that stands although `failed` could not be sealed; the files of `failed` are removed."""
        standing = self.find(failed.address)
        if standing is None or standing.attempt != failed.attempt:
            self._sweep(_attempt_folder(failed))
        return standing

    def _sweep(self, folder: str, sparing: tuple[str, ...] = ()) -> None:
        """Clear if possible: litter costs some space, finished work and the true reason of a failure are worth more."""
        with suppress(EffreasonError):
            self._shelf.clear(folder, sparing)

    def _copy(self, folder: str, files: Sequence[StoredFile], into: Path) -> str | None:
        """Bring all `files` below `into`, or none of them and the fault of the first that differs."""
        with disk_errors(into):
            into.parent.mkdir(parents=True, exist_ok=True)
            beside = into if into.is_dir() else into.parent
            with tempfile.TemporaryDirectory(prefix=".fetching-", dir=beside) as scratch:
                for file in files:
                    if (fault := self._copy_one(folder, file, Path(scratch))) is not None:
                        return fault
                into.mkdir(exist_ok=True)
                for file in files:
                    (into / file.path).parent.mkdir(parents=True, exist_ok=True)
                    os.replace(Path(scratch, file.path), into / file.path)
        return None

    def _copy_one(self, folder: str, file: StoredFile, scratch: Path) -> str | None:
        target = scratch / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as copy:
            return self._fault(folder, file, copy.write)

    def _fault(self, folder: str, file: StoredFile, sink: Callable[[bytes], object]) -> str | None:
        """Read one file into `sink`; what is wrong with it, if anything."""
        key = f"{folder}/{file.path}"
        size = self._shelf.size(key)
        if size is None:
            return f"{file.path} is missing"
        if size != file.size:
            return f"{file.path} has {size} bytes instead of {file.size}"
        digest = hashlib.sha256()
        for chunk in self._shelf.chunks(key, size):
            digest.update(chunk)
            sink(chunk)
        return None if digest.hexdigest() == file.sha256 else f"{file.path} differs from its SHA-256"

    def _checkpoint_names(self, address: Address) -> set[str]:
        """Of whole checkpoints and of fragments."""
        folder = _working_folder(address) + "/"
        return {key.removeprefix(folder).partition("/")[0] for key in self._shelf.keys(_working_folder(address))}

    def _checkpoint(self, address: Address, name: str) -> Checkpoint | None:
        content = self._shelf.read(_checkpoint_key(address, name))
        if content is None:
            return None
        with suppress(ValidationError):  # a damaged one counts as none: training goes on from an older one
            return Checkpoint.model_validate_json(content)
        return None

    def _damaged(self, address: Address, fault: str) -> Damaged:
        return Damaged(
            f"The stored artifact {address} is damaged: {fault}.",
            f"Run `effreason artifacts verify {address}`; to have it made again, delete {self._shelf.where(address)}.",
        )


def inventory(folder: Path) -> tuple[StoredFile, ...]:
    """Every file below `folder` with its size and digest, sorted by path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return tuple(_stored(path, folder) for path in files)


def _stored(path: Path, folder: Path) -> StoredFile:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return StoredFile(path=path.relative_to(folder).as_posix(), size=file.tell(), sha256=digest)


def _manifest_key(address: Address) -> str:
    return f"{address}/manifest.json"


def _attempt_folder(manifest: Manifest) -> str:
    return f"{manifest.address}/{manifest.attempt}"


def _working_folder(address: Address) -> str:
    return f"working/{address}"


def _checkpoint_key(address: Address, name: str) -> str:
    return f"{_working_folder(address)}/{name}/checkpoint.json"


def _discard(chunk: bytes) -> None:
    """Read and forget."""
