"""Checkpoints of steps that are still running, sealed by small records of their own.

working/ADDRESS/NAME/checkpoint.json     the seal; written last
working/ADDRESS/NAME/ATTEMPT/...         the files that it names, or DIGEST in place of ATTEMPT for large ones
"""

import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from effreason.artifacts import StoredFile
from effreason.choices import Name
from effreason.errors import EffreasonError
from effreason.frozen import Frozen
from effreason.progress import Reporter
from effreason.specs import Address
from effreason.store.files import copy_all, file_key, inventory, put_all, sweep
from effreason.store.shelf import Shelf, Unreachable


class Checkpoint(Frozen):
    """The seal of a checkpoint."""

    name: Name
    attempt: Name
    files: tuple[StoredFile, ...]


class Checkpoints:
    """The checkpoints of one step."""

    def __init__(self, shelf: Shelf, address: Address, tell: Reporter) -> None:
        self._shelf = shelf
        self._folder = working_folder(address)
        self._tell = tell

    def save(self, name: str, folder: Path) -> None:
        """Keep the files below `folder`, whole or not at all, and remove older checkpoints."""
        place = f"{self._folder}/{name}"
        replaced = self._read(name)
        checkpoint = Checkpoint(name=name, attempt=secrets.token_hex(8), files=inventory(folder, self._shelf))
        try:
            put_all(self._shelf, place, checkpoint.attempt, checkpoint.files, folder, self._tell)
            self._shelf.write(_seal_key(place), checkpoint.model_dump_json().encode())
        except Unreachable:
            raise
        except EffreasonError:
            sweep(self._shelf, f"{place}/{checkpoint.attempt}")
            raise
        for older in (other for other in self._names() if other < name):
            sweep(self._shelf, f"{self._folder}/{older}")
        if replaced is not None:
            self._let_go(replaced, checkpoint)

    def load(self, into: Path) -> str | None:
        """Copy the newest whole checkpoint (by name, in sorting order) below `into`; return its name, or None."""
        for name in sorted(self._names(), reverse=True):
            checkpoint, place = self._read(name), f"{self._folder}/{name}"
            if checkpoint is None:
                continue
            if copy_all(self._shelf, place, checkpoint.attempt, checkpoint.files, into, self._tell) is None:
                return name
        return None

    def newest(self, sizes: Mapping[str, int]) -> set[str]:
        """Return the keys of the newest checkpoint that is whole by the `sizes` under all keys, without reading it."""
        for name in sorted(self._names(), reverse=True):
            if (checkpoint := self._read(name)) is not None:
                files = keys_of(checkpoint, f"{self._folder}/{name}")
                if all(sizes.get(key) == size for key, size in files.items()):
                    return {*files, _seal_key(f"{self._folder}/{name}")}
        return set()

    def _names(self) -> set[str]:
        """Return the names of whole checkpoints and of fragments."""
        folder = self._folder + "/"
        return {key.removeprefix(folder).partition("/")[0] for key in self._shelf.keys(self._folder)}

    def _read(self, name: str) -> Checkpoint | None:
        content = self._shelf.read(_seal_key(f"{self._folder}/{name}"))
        if content is None:
            return None
        with suppress(ValidationError):  # a damaged one counts as none: training goes on from an older one
            return Checkpoint.model_validate_json(content)
        return None

    def _let_go(self, replaced: Checkpoint, standing: Checkpoint) -> None:
        place = f"{self._folder}/{standing.name}"
        needed = {key.removeprefix(place).split("/")[1] for key in keys_of(standing, place)}
        there = {key.removeprefix(place).split("/")[1] for key in keys_of(replaced, place)}
        for folder in there - needed:
            sweep(self._shelf, f"{place}/{folder}")


def keys_of(checkpoint: Checkpoint, place: str) -> dict[str, int]:
    """Return the keys of a checkpoint's files, with their bytes."""
    return {file_key(place, checkpoint.attempt, file): file.size for file in checkpoint.files}


def working_folder(address: Address) -> str:
    return f"working/{address}"


def _seal_key(place: str) -> str:
    return f"{place}/checkpoint.json"
