"""An experiment read from TOML, and every mistake in it pointed at: file, line, reason, remedy.

TOML parsers keep no positions, so the lines are found by a scan of their own: it knows table headers, arrays of tables
and keys, which is all that an error has to point at.
"""

import difflib
import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from effreason.errors import UserError
from effreason.experiment import Experiment
from effreason.pinning import pin

SHIPPED = Path(__file__).parent / "experiments"

KeyPath = tuple[str | int, ...]

HEADER = re.compile(r"^\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(#.*)?$")
KEY = re.compile(r"""^\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")


def shipped() -> list[str]:
    """The names of the experiments that come with the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def locate(reference: str) -> Path:
    """The file that a path or the name of a shipped experiment stands for. Raises `UserError` where there is none."""
    path = Path(reference)
    if path.is_file():
        return path
    if (SHIPPED / f"{reference}.toml").is_file():
        return SHIPPED / f"{reference}.toml"
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
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path} is not TOML: {error}.", "Mend that line.") from error
    try:
        return Experiment.model_validate(tree)
    except ValidationError as error:
        raise UserError(_listed(path, text, tree, error), "\nNothing was started; mend it and run again.") from error


def prepared(reference: str) -> Experiment:
    """Read, check and pin an experiment: what `plan` and the flow start from."""
    path = locate(reference)
    return pin(load(reference), path.parent)


def line_of(path: Path, value: str) -> int | None:
    """The first line on which a quoted value stands; for mistakes that only the file system can show."""
    for number, line in enumerate(_read(path).splitlines(), start=1):
        if f'"{value}"' in line or f"'{value}'" in line:
            return number
    return None


def _listed(path: Path, text: str, tree: Any, error: ValidationError) -> str:
    lines = Lines(text)
    mistakes = [mistake for mistake in error.errors() if not _follows_from_another(mistake, error)]
    listed = sorted((lines.of(_located(mistake["loc"], tree)), _sentence(mistake, tree)) for mistake in mistakes)
    count = "a mistake" if len(listed) == 1 else f"{len(listed)} mistakes"
    return "\n".join([f"{path} has {count}:", *(f"  {path}:{line}: {sentence}" for line, sentence in listed)])


def _follows_from_another(mistake: Any, error: ValidationError) -> bool:
    """A list whose elements were refused is reported as too short as well."""
    place = mistake["loc"]
    return mistake["type"] == "too_short" and any(
        other["loc"][: len(place)] == place and len(other["loc"]) > len(place) for other in error.errors()
    )


class Lines:
    """Where the keys of a TOML text stand."""

    def __init__(self, text: str) -> None:
        self._lines: dict[KeyPath, int] = {}
        for place, number in _scan(text):
            self._lines.setdefault(place, number)

    def of(self, place: KeyPath) -> int:
        """The line of the deepest part of `place` that stands in the file; 1 where none does."""
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
    """`a.b` inside `[[a]]` means the latest element of a."""
    place: KeyPath = ()
    for part in parts[:-1]:
        place = (*place, part)
        if place in counts:
            place = (*place, counts[place])
    return (*place, parts[-1])


def _parts(dotted: str) -> list[str]:
    return [part.strip().strip("\"'") for part in dotted.split(".")]


def _located(loc: tuple[str | int, ...], tree: Any) -> KeyPath:
    """Pydantic's location less the union tags that it adds, as far as the tree has it, and the key at fault."""
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
            return f"{place} has no key `{key}`; {_closest(str(key))}"
        case "missing":
            return f"{place} needs the key `{key}`; add it."
        case "union_tag_not_found" | "union_tag_invalid":
            tags = mistake["ctx"].get("expected_tags", "")
            kind = str(mistake["ctx"]["discriminator"]).strip("'")
            return f"{'.'.join(str(p) for p in (*where, key))} needs a known `{kind}`; choose {tags or 'one'}."
        case "value_error":
            return str(mistake["ctx"]["error"])
        case _:
            return f"`{key}` = {mistake['input']!r} cannot be used: {mistake['msg'][0].lower()}{mistake['msg'][1:]}."


def _closest(key: str) -> str:
    definitions = Experiment.model_json_schema()
    known = {name for part in (definitions, *definitions["$defs"].values()) for name in part.get("properties", {})}
    match = difflib.get_close_matches(key, sorted(known), n=1)
    return f"did you mean `{match[0]}`?" if match else "take it out, or see `effreason schema` for those it has."


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read ({error}).", "Give the path of a TOML file in UTF-8.") from error
