"""How files become an artifact and artifacts become files again: the same on every shelf.

seal    files of the attempt → manifest, unless one stands → whatever stands → sweep what does not count
fetch   manifest → files, each compared with its size and SHA-256 → moved into place together
"""

import re
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

from pydantic import ValidationError

from effreason.artifacts import Artifact, Manifest, Provenance
from effreason.errors import EffreasonError, StepFailure
from effreason.progress import Reporter, quiet
from effreason.specs import Address, Spec, StepName
from effreason.store.cache import Cache
from effreason.store.checkpoints import Checkpoints, working_folder
from effreason.store.cleaning import Litter, litter
from effreason.store.files import copy_all, fault_of, file_key, inventory, put_all, sweep
from effreason.store.journal import Journal, journals
from effreason.store.shelf import Damaged, Shelf, Unreachable

SEAL = re.compile(r"(\w+/[0-9a-f]{24})/manifest\.json")
"""The key of a manifest, and in it the address."""


class SealedStore:
    """Artifacts on a shelf; see `effreason.store.Store`."""

    def __init__(self, shelf: Shelf, tell: Reporter = quiet, cache: Cache | None = None) -> None:
        self._shelf = shelf
        self._tell = tell
        self._cache = cache

    def telling(self, tell: Reporter) -> "SealedStore":
        return SealedStore(self._shelf, tell, self._cache)

    def find(self, address: Address) -> Manifest | None:
        content = self._shelf.read(manifest_key(address))
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
        began = time.monotonic()
        manifest = Manifest(
            address=spec.address,
            attempt=secrets.token_hex(8),
            spec=spec,
            artifact=artifact,
            files=inventory(folder, self._shelf),
            provenance=provenance,
        )
        try:
            put_all(self._shelf, manifest.address, manifest.attempt, manifest.files, folder, self._tell)
            self._write(_after(manifest, time.monotonic() - began))
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
        fault = copy_all(self._shelf, manifest.address, manifest.attempt, wanted, into, self._tell, self._cache)
        if fault is not None:
            raise self._damaged(manifest.address, fault)
        return into

    def addresses(self) -> Iterator[Address]:
        for step in sorted(get_args(StepName)):
            seals = (SEAL.fullmatch(key) for key in self._shelf.keys(step))
            yield from sorted(seal[1] for seal in seals if seal)

    def verify(self, manifest: Manifest) -> list[str]:
        keys = keys_of(manifest)
        faults = (fault_of(self._shelf, key, file, _discard) for key, file in zip(keys, manifest.files, strict=True))
        return [f"In {manifest.address}, {fault}." for fault in faults if fault is not None]

    def save_working(self, address: Address, name: str, folder: Path) -> None:
        Checkpoints(self._shelf, address, self._tell).save(name, folder)

    def load_working(self, address: Address, into: Path) -> str | None:
        return Checkpoints(self._shelf, address, self._tell).load(into)

    def clear_working(self, address: Address) -> None:
        self._shelf.clear(working_folder(address))

    def litter(self, older_than: timedelta) -> Iterator[Litter]:
        yield from litter(self._shelf, self._needed, datetime.now(UTC) - older_than)

    def remove(self, found: Litter) -> None:
        for entry in found.entries:
            self._shelf.remove(entry)

    def journal(self, folder: str) -> Journal:
        return Journal(self._shelf, folder)

    def journals(self, folder: str) -> list[str]:
        return journals(self._shelf, folder)

    def _write(self, manifest: Manifest) -> None:
        key, content = manifest_key(manifest.address), manifest.model_dump_json(indent=2).encode()
        if self._shelf.exclusive:
            self._shelf.write_first(key, content)
        elif self._shelf.read(key) is None:
            self._shelf.write(key, content)

    def _needed(self, address: Address, sizes: Mapping[str, int]) -> set[str]:
        """Return the keys that an address needs; see `cleaning.Needed`."""
        manifest = self.find(address)
        if manifest is None:
            return Checkpoints(self._shelf, address, self._tell).newest(sizes)
        return {manifest_key(address), *keys_of(manifest)}

    def _settled(self, address: Address) -> Manifest:
        """Return the manifest that stands, whoever wrote it; remove what other attempts left behind.

        Reading it back also answers whether a write succeeded whose reply was lost.
        """
        standing = self.find(address)
        if standing is None:
            raise StepFailure(
                f"The manifest of {address} vanished while it was being sealed.",
                f"Make sure nothing else removes files at {self._shelf.where(address)}, and run again.",
            )
        if self._shelf.exclusive:  # otherwise another manifest may yet replace this one and need its files
            sweep(self._shelf, address, sparing=(manifest_key(address), *keys_of(standing)))
        return standing

    def _without(self, failed: Manifest) -> Manifest | None:
        """Return the manifest that stands although `failed` could not be sealed.

        The files of `failed` are removed; large ones stay for the next writer to go on from.
        """
        standing = self.find(failed.address)
        if standing is None or standing.attempt != failed.attempt:
            sweep(self._shelf, f"{failed.address}/{failed.attempt}")
        return standing

    def _damaged(self, address: Address, fault: str) -> Damaged:
        return Damaged(
            f"The stored artifact {address} is damaged: {fault}.",
            f"Run `effreason artifacts verify {address}`; to have it remade, delete {self._shelf.where(address)}.",
        )


def manifest_key(address: Address) -> str:
    return f"{address}/manifest.json"


def keys_of(manifest: Manifest) -> list[str]:
    """Return the keys of the files of the manifest, in its order."""
    return [file_key(manifest.address, manifest.attempt, file) for file in manifest.files]


def _after(manifest: Manifest, seconds: float) -> Manifest:
    """Return the manifest with a longer turn of its step, which keeps its share of the machine while storing."""
    origin = manifest.provenance
    if origin.turn_seconds is None:
        return manifest
    longer = origin.model_copy(update={"turn_seconds": round(origin.turn_seconds + seconds, 3)})
    return manifest.model_copy(update={"provenance": longer})


def _discard(chunk: bytes) -> None:
    """Read and forget."""
