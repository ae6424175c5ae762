"""Where artifacts live: content-addressed, sealed by a manifest that is written last.

    ADDRESS/manifest.json            the seal; what has none is invisible
    ADDRESS/ATTEMPT/path/of/file     the files of one writer; the manifest names the attempt that counts
    ADDRESS/DIGEST/path/of/file      a large file: writers of the same bytes share it, and go on where one was cut off
    working/ADDRESS/...              checkpoints of a step that is still running
    champion/NAME/000001.json        the journal of an experiment's champions (effreason.promotion)

Two writers of one address each write their own attempt; the first manifest stands and the other writer takes it.
Every file's size and SHA-256 are in the manifest and are verified whenever the file is read.
"""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from effreason.artifacts import Artifact, Manifest, Provenance
from effreason.choices import FolderHome, Home
from effreason.extras import require
from effreason.progress import Reporter
from effreason.specs import Address, Spec
from effreason.store.cleaning import Litter
from effreason.store.journal import Journal


class Store(Protocol):
    """One interface, two homes: `FolderStore` and `S3Store`.

    Raises `StepFailure` when the home cannot be reached, is full, or holds a file that differs from its manifest.
    """

    def find(self, address: Address) -> Manifest | None:
        """Return the manifest of a finished artifact, or None."""
        ...

    def seal(self, spec: Spec, artifact: Artifact, folder: Path, provenance: Provenance) -> Manifest:
        """Store every file under `folder` and then the manifest; return the manifest that stands."""
        ...

    def fetch(self, manifest: Manifest, into: Path, only: Sequence[str] | None = None) -> Path:
        """Copy the artifact's files (or those whose paths start with one of `only`), verified, below `into`."""
        ...

    def addresses(self) -> Iterator[Address]:
        """Yield the address of every sealed artifact, sorted."""
        ...

    def verify(self, manifest: Manifest) -> list[str]:
        """Return one sentence for every file that is missing or differs from the manifest."""
        ...

    def save_working(self, address: Address, name: str, folder: Path) -> None:
        """Keep a checkpoint of a running step: whole or not at all."""
        ...

    def load_working(self, address: Address, into: Path) -> str | None:
        """Copy the newest whole checkpoint (by name, in sorting order) below `into`; return its name, or None."""
        ...

    def clear_working(self, address: Address) -> None:
        """Remove the checkpoints of a step that has been sealed."""
        ...

    def litter(self, older_than: timedelta) -> Iterator[Litter]:
        """Yield what no sealed artifact and no unfinished step needs, of addresses unchanged for `older_than`."""
        ...

    def remove(self, found: Litter) -> None:
        """Remove what `litter` has found."""
        ...

    def journal(self, folder: str) -> Journal:
        """Return a journal: numbered pages that are written once, apart from all artifacts."""
        ...

    def journals(self, folder: str) -> list[str]:
        """Return the names of the journals below `folder`, sorted."""
        ...

    def telling(self, tell: Reporter) -> "Store":
        """Return the store with large transfers reported to `tell`, as phases `upload` and `fetch`, in megabytes."""
        ...


def open_store(home: Home) -> Store:
    """Open the store at `home`. boto3 is imported only for an S3 home."""
    if isinstance(home, FolderHome):
        from effreason.store.folder import FolderStore

        return FolderStore(Path(home.path))
    require("boto3", "s3", "Storage in S3")
    from effreason.store.s3 import S3Store

    return S3Store(home)
