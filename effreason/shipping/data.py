"""The data of a policy in the words of its card: what identifies it anywhere, and no path of the machine it lay on."""

import json
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import assert_never

from effreason.artifacts import Manifest, Problems
from effreason.choices import (
    ChainSumSource,
    FileSource,
    Gsm8kSource,
    HubSource,
    Math500Source,
    ReasoningGymSource,
    Source,
)
from effreason.hub import GSM8K, MATH500
from effreason.problems.sources import Split
from effreason.specs import PrepareSpec


def data_lines(preparation: Manifest | None) -> Iterator[str]:
    """Yield the lines of a table of every part with its source and its number of problems, and what was left out."""
    if preparation is None:
        yield "Unknown: the store no longer holds the problems."
        return
    spec, counts = preparation.spec, preparation.artifact
    assert isinstance(spec, PrepareSpec) and isinstance(counts, Problems)  # noqa: S101  what a prepare address holds
    yield from ("| part | data | problems |", "|---|---|---|")
    yield _row("training", source_told(spec.source, "train"), counts.train)
    yield _row("validation, on which alpha is chosen", "apart from training, of the same data", counts.validation)
    for suite in spec.suites:
        yield _row(f"suite {suite.name}", source_told(suite.source, "test"), counts.suites.get(suite.name, 0))
    yield ""
    yield f"Drawn with seed {spec.seed}; left out: {_left_out(counts.dropped)}."


def hub_id(source: Source) -> str | None:
    """Return the id of the data set that a source reads from the hub; None where it reads none."""
    match source:
        case HubSource():
            return source.id
        case Gsm8kSource(folder=None):
            return GSM8K
        case Math500Source(folder=None):
            return MATH500
    return None


def source_told(source: Source, split: Split) -> str:
    """Return the source of a part: id, configuration, split and commit, file name and digest, or its settings."""
    match source:
        case ChainSumSource():
            return f"chain-sum, built in, {source.min_terms} to {source.max_terms} terms"
        case ReasoningGymSource():
            return f"reasoning-gym, task {source.task}, options {json.dumps(source.options)}"
        case Gsm8kSource():
            return _official(source, f"{GSM8K}, configuration main, split {split}")
        case Math500Source():
            return _official(source, f"{MATH500}, split test")
        case HubSource():
            configuration = f", configuration {source.config}" if source.config else ""
            return f"{source.id}{configuration}, {_hub_split(source, split)}, at {source.revision}"
        case FileSource():
            return _file(source, split)
    assert_never(source)


def _official(source: Gsm8kSource | Math500Source, name: str) -> str:
    return f"{name}, at {source.revision}" if source.folder is None else f"a copy of {name}, digest {source.digest}"


def _hub_split(source: HubSource, split: Split) -> str:
    if source.test_split is not None:
        return f"split {source.train_split if split == 'train' else source.test_split}"
    return f"{_SHARE[split]} of split {source.train_split}"


def _file(source: FileSource, split: Split) -> str:
    own = source.test_path is not None
    path = source.test_path if split == "test" and source.test_path is not None else source.path
    share = "" if own else f"{_SHARE[split]} of "
    return f"{share}{PurePath(path).name}, digest {source.digest}{' over both files' if own else ''}"


_SHARE: Mapping[Split, str] = {"train": "nine tenths (by the hash of the question)", "test": "the other tenth"}


def _left_out(dropped: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in dropped.items()) or "nothing"


def _row(part: str, data: str, problems: int) -> str:
    return f"| {part} | {data.replace('|', '&#124;')} | {problems} |"
