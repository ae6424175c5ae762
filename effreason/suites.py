"""Suites by a short spelling: `suites = ["gsm8k", "math500", "reasoning-gym:chain_sum", "aime24.jsonl"]`.

gsm8k, math500, chain-sum         under that name
gsm8k:FOLDER, math500:FOLDER      the same from a local copy
reasoning-gym:TASK                under the name of the task
a .jsonl or .parquet file         under the name of the file; all of its rows are measured on
"""

import difflib
from collections.abc import Mapping
from pathlib import PurePath

from pydantic import TypeAdapter, ValidationError

from effreason.choices import Name

COPIED = ("gsm8k", "math500")
NAMED = (*COPIED, "chain-sum")
GYM = "reasoning-gym"
FILES = (".jsonl", ".parquet")


def spelled_out(given: object) -> object:
    """Return the fields of the suite that a text stands for; anything but text unchanged. Raises `ValueError`."""
    return fields_of(given) if isinstance(given, str) else given


def fields_of(text: str) -> Mapping[str, object]:
    """Return the fields of the suite that a short spelling stands for. Raises `ValueError` where it stands for none."""
    kind, _, place = text.partition(":")
    path = PurePath(text)
    if text in NAMED:
        return {"name": text, "source": {"kind": text}}
    if kind in COPIED and place:
        return {"name": kind, "source": {"kind": kind, "folder": place}}
    if kind == GYM and place:
        return {"name": place, "source": {"kind": GYM, "task": place}}
    if path.suffix in FILES:
        return {"name": _name(path), "source": {"kind": "file", "path": text, "test_path": text}}
    raise ValueError(f"{text!r} is not a known suite; {_remedy(text)}")


def _name(path: PurePath) -> str:
    try:
        return TypeAdapter(Name).validate_python(path.stem)
    except ValidationError:
        raise ValueError(
            f"the name of the file {path.name!r} cannot name a suite; write the suite as a table with a `name`."
        ) from None


def _remedy(text: str) -> str:
    close = difflib.get_close_matches(text.lower(), (*NAMED, GYM), n=1)
    known = f"there are {', '.join(NAMED)}, {GYM}:TASK, and files ending in .jsonl or .parquet."
    return f"did you mean {close[0]}? Otherwise {known}" if close else known
