"""An experiment read from TOML, and every mistake in it pointed at: file, line, reason, remedy.

TOML parsers keep no positions, so the lines are found by a scan of their own: it knows table headers, arrays of tables
and keys, which is all that an error has to point at.
"""

import os
import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from effreason.errors import UserError
from effreason.experiment import Experiment
from effreason.hints import instead_of, kinds_at
from effreason.pinning import pin

SHIPPED = Path(__file__).parent / "experiments"

KeyPath = tuple[str | int, ...]

HEADER = re.compile(r"^\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(#.*)?$")
KEY = re.compile(r"""^\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")
QUOTED = re.compile(r"""["']([^"']+)["']""")


def shipped() -> list[str]:
    """Return the names of the experiments that come with the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def locate(reference: str) -> Path:
    """Return the file for a path or the name of a shipped experiment. Raises `UserError` where there is none."""
    for path in (reference, f"{SHIPPED / reference}.toml"):
        if os.path.isfile(path):  # pathlib's own raises where a name is too long
            return Path(path)
    raise UserError(
        f"There is no experiment {reference}.",
        f"Give the path of a TOML file or one of the shipped names: {', '.join(shipped())}.",
    )


def load(reference: str) -> Experiment:
    """Read and check an experiment. Raises `UserError` that names every mistake with its line."""
    path = locate(reference)
    text = _read(path)
    try:
        tree = tomllib.loads(text)
    except ValueError as error:  # also of a number with more digits than Python reads
        raise UserError(f"{path} is not TOML: {error}.", "Fix that line.") from error
    except RecursionError as error:
        raise UserError(
            f"{path} is nested too deeply.", "Flatten it: no experiment needs more than a few levels."
        ) from error
    try:
        return Experiment.model_validate(tree)
    except ValidationError as error:
        raise UserError(_listed(path, text, tree, error), "\nNothing was started; fix it and run again.") from error


def prepared(reference: str) -> Experiment:
    """Read, check and pin an experiment: what `plan` and the flow start from."""
    path = locate(reference)
    experiment = load(reference)
    try:
        return pin(experiment, path.parent)
    except UserError as error:
        line = _line_quoting(path, error.remedy)
        if line is None:
            raise
        raise UserError(f"{path}:{line}: {error.happened}", error.remedy) from error


def _line_quoting(path: Path, remedy: str) -> int | None:
    """Return the first line with a value that the remedy quotes, as it does for what only the file system can show."""
    for number, line in enumerate(_read(path).splitlines(), start=1):
        if any(repr(value) in remedy for value in QUOTED.findall(line)):
            return number
    return None


def _listed(path: Path, text: str, tree: Any, error: ValidationError) -> str:
    lines = Lines(text)
    mistakes = [mistake for mistake in error.errors() if not _follows_from_another(mistake, error)]
    listed = sorted((lines.of(_located(mistake["loc"], tree)), _sentence(mistake, tree)) for mistake in mistakes)
    count = "a mistake" if len(listed) == 1 else f"{len(listed)} mistakes"
    told = (f"  {path}:{line}: {sentence}" if line else f"  {path}: {sentence}" for line, sentence in listed)
    return "\n".join([f"{path} has {count}:", *told])


def _follows_from_another(mistake: Any, error: ValidationError) -> bool:
    """Return whether a mistake only follows from another: a list with refused elements is also called too short."""
    place = mistake["loc"]
    return mistake["type"] == "too_short" and any(
        other["loc"][: len(place)] == place and len(other["loc"]) > len(place) for other in error.errors()
    )


class Lines:
    """The line numbers of the keys of a TOML text."""

    def __init__(self, text: str) -> None:
        self._lines: dict[KeyPath, int] = {}
        for place, number in _scan(text):
            self._lines.setdefault(place, number)

    def of(self, place: KeyPath) -> int:
        """Return the line of the deepest part of `place` in the file; 1 where none is there, 0 for the whole file."""
        if not place:
            return 0
        for length in range(len(place), 0, -1):
            if (line := self._lines.get(place[:length])) is not None:
                return line
        return 1


def _scan(text: str) -> Iterator[tuple[KeyPath, int]]:
    table: KeyPath = ()
    counts: dict[KeyPath, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if header := HEADER.match(line):
            table = _indexed(_parts(header[2]), counts)
            if header[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            yield table, number
        elif key := KEY.match(line):
            yield (*table, *_parts(key[1])), number


def _indexed(parts: Sequence[str], counts: dict[KeyPath, int]) -> KeyPath:
    """Return the key path of parts in which `a.b` inside `[[a]]` means the latest element of a."""
    place: KeyPath = ()
    for part in parts[:-1]:
        place = (*place, part)
        if place in counts:
            place = (*place, counts[place])
    return (*place, parts[-1])


def _parts(dotted: str) -> list[str]:
    return [part.strip().strip("\"'") for part in dotted.split(".")]


def _located(loc: tuple[str | int, ...], tree: Any) -> KeyPath:
    """Return Pydantic's location without its union tags, as far as the tree has it, and the key at fault."""
    place: list[str | int] = []
    for index, part in enumerate(loc):
        if isinstance(tree, dict) and part in tree:
            tree = tree[str(part)]
            place.append(part)
        elif isinstance(tree, list) and isinstance(part, int) and part < len(tree):
            tree = tree[part]
            place.append(part)
        elif index == len(loc) - 1:
            place.append(part)
    return tuple(place)


def _sentence(mistake: Any, tree: Any) -> str:
    *where, key = _located(mistake["loc"], tree) or ("",)
    place = ".".join(str(part) for part in where) or "the experiment"
    match mistake["type"]:
        case "extra_forbidden":
            return f"{place} has no key `{key}`; {instead_of(str(key), where)}"
        case "missing":
            return f"{place} needs the key `{key}`; add it."
        case "union_tag_not_found" | "union_tag_invalid":
            kind = str(mistake["ctx"]["discriminator"]).strip("'")
            tags = mistake["ctx"].get("expected_tags") or ", ".join(map(repr, kinds_at((*where, key))))
            return f"{'.'.join(str(p) for p in (*where, key))} needs a known `{kind}`; choose {tags}."
        case "value_error":
            return str(mistake["ctx"]["error"])
        case _:
            return f"`{key}` = {mistake['input']!r} cannot be used: {mistake['msg'][0].lower()}{mistake['msg'][1:]}."


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")  # some editors begin a file with a byte order mark
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read ({error}).", "Give the path of a TOML file in UTF-8.") from error
