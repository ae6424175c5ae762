"""One small artifact to put into stores, and the files that it is made of."""

from pathlib import Path

from effreason.artifacts import Manifest, Problems, Provenance
from effreason.choices import ChainSumSource
from effreason.specs import PrepareSpec, Suite
from effreason.store import Store

SOURCE = ChainSumSource()
FILES = {"train.jsonl": b"{}\n" * 50, "model/config.json": b"{}", "model/deep/er/weights": b"\0\1" * 999, "empty": b""}


def spec(seed: int = 0) -> PrepareSpec:
    suite = Suite(name="chain-sum", source=SOURCE)
    return PrepareSpec(source=SOURCE, train_problems=8, validation_problems=2, suites=(suite,), seed=seed)


def problems(seed: int = 0) -> Problems:
    return Problems(address=spec(seed).address, train=8, validation=2, suites={"chain-sum": 3}, dropped={})


PROVENANCE = Provenance(
    commit=None,
    dirty=None,
    version="0",
    image=None,
    python="3",
    packages={},
    hardware={"cores": 2},
    started="2026-01-02T03:04:05+00:00",
    seconds=1.5,
)


def folder_of(folder: Path, files: dict[str, bytes]) -> Path:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def seal(store: Store, folder: Path, seed: int = 0) -> Manifest:
    return store.seal(spec(seed), problems(seed), folder, PROVENANCE)
