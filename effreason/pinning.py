"""An experiment tied to exact inputs before anything runs: commits instead of branches, digests instead of paths.

What is pinned stays the same when a branch moves or a file is edited; then the fingerprints differ, and the steps run
anew. Where files lie is in no fingerprint.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import assert_never

from effreason import reasoner
from effreason.catalogue import refuse_never_released
from effreason.choices import (
    BuiltInModel,
    ChainSumSource,
    FileSource,
    FolderModel,
    Gsm8kSource,
    HubModel,
    HubSource,
    Math500Source,
    Model,
    ReasoningGymSource,
    Source,
)
from effreason.errors import UserError
from effreason.experiment import Experiment
from effreason.hub import GSM8K, MATH500, commit_of
from effreason.problems.local import split_file


def pin(experiment: Experiment, base: Path) -> Experiment:
    """Return `experiment` with every revision a commit, every path absolute (from `base`) and every file's digest
    filled in.

    Raises `UserError` for missing or unfit files and repositories, `StepFailure` when the hub cannot be reached.
    """
    refuse_never_released(experiment.models)
    data = experiment.data
    suites = tuple(suite.model_copy(update={"source": _pinned_source(suite.source, base)}) for suite in data.suites)
    pinned_data = data.model_copy(update={"source": _pinned_source(data.source, base), "suites": suites})
    models = tuple(_pinned_model(model, base) for model in experiment.models)
    return experiment.model_copy(update={"data": pinned_data, "models": models})


def digest_of(files: Iterable[tuple[str, Path]]) -> str:
    """Return the SHA-256 over names and contents, in the order of the names: 64 hex digits."""
    whole = hashlib.sha256()
    for name, path in sorted(files):
        with path.open("rb") as stream:
            whole.update(f"{name}\0{hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    return whole.hexdigest()


def _pinned_model(model: Model, base: Path) -> Model:
    match model:
        case BuiltInModel():
            return model.model_copy(update={"digest": reasoner.digest()})
        case HubModel():
            return model.model_copy(update={"revision": commit_of("model", model.id, model.revision)})
        case FolderModel():
            folder = (base / model.path).resolve()
            _refuse_unfit(model, folder)
            files = ((path.relative_to(folder).as_posix(), path) for path in _visible_files(folder))
            return model.model_copy(update=_place(model.name, model.digest, "path", folder, digest_of(files)))
    assert_never(model)


def _pinned_source(source: Source, base: Path) -> Source:
    match source:
        case ChainSumSource() | ReasoningGymSource():
            return source
        case Gsm8kSource():
            return source.model_copy(update=_pinned_official(source, GSM8K, ("train", "test"), base))
        case Math500Source():
            return source.model_copy(update=_pinned_official(source, MATH500, ("test",), base))
        case HubSource():
            return source.model_copy(update={"revision": commit_of("dataset", source.id, source.revision)})
        case FileSource():
            return _pinned_file(source, base)
    assert_never(source)


def _pinned_official(
    source: Gsm8kSource | Math500Source, id: str, splits: tuple[str, ...], base: Path
) -> dict[str, str]:
    """Return the fields that tie a published data set to a commit, or a local copy of it to a digest."""
    if source.folder is None:
        return {"revision": commit_of("dataset", id, source.revision)}
    folder = (base / source.folder).resolve()
    digest = digest_of((split, split_file(folder, split)) for split in splits)
    return _place(source.kind, source.digest, "folder", folder, digest)


def _pinned_file(source: FileSource, base: Path) -> FileSource:
    path = _file(base, source.path)
    test = _file(base, source.test_path) if source.test_path is not None else None
    digest = digest_of([("train", path), *([("test", test)] if test else [])])
    place = _place(source.path, source.digest, "path", path, digest)
    return source.model_copy(update={**place, "test_path": str(test) if test else None})


def _place(name: str, expected: str | None, field: str, path: Path, digest: str) -> dict[str, str]:
    if expected not in (None, digest):
        raise UserError(
            f"The files of {name} at {path} have the digest {digest}, but the experiment says {expected}.",
            "Restore the files, or remove the digest from the experiment.",
        )
    return {field: str(path), "digest": digest}


def _file(base: Path, path: str) -> Path:
    file = (base / path).resolve()
    if not file.is_file():
        raise UserError(f"There is no file {file}.", f"Correct the path {path!r}; it is relative to {base.resolve()}.")
    return file


def _visible_files(folder: Path) -> list[Path]:
    """Return the files below `folder` except hidden ones, such as a clone's .git."""
    return [
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]


def _refuse_unfit(model: FolderModel, folder: Path) -> None:
    """Raise `UserError` unless the folder holds what transformers reads, and weights that cannot run code."""
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder} for the model {model.name}.", f"Correct the path {model.path!r}.")
    if model.gguf_file is not None:
        if not (folder / model.gguf_file).is_file():
            raise UserError(f"The folder {folder} has no file {model.gguf_file}.", "Correct `gguf_file`.")
        return
    if not (folder / "config.json").is_file():
        raise UserError(
            f"The folder {folder} of the model {model.name} has no config.json.",
            "Give a folder written by `save_pretrained`.",
        )
    if any(folder.glob("*.safetensors")):
        return
    if any(path.suffix in {".bin", ".pt", ".pth", ".ckpt"} for path in folder.iterdir()):
        raise UserError(
            f"The model {model.name} in {folder} has its weights only as pickle files, which can run code when read.",
            "If you trust them, load them and `save_pretrained` them as safetensors.",
        )
    raise UserError(
        f"The folder {folder} of the model {model.name} has no weights.", "Put its safetensors files there."
    )
