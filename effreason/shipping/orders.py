"""The orders that make a policy again, as its card prints them: without the paths of the machine it was made on."""

import json
from collections.abc import Iterator
from pathlib import PurePath

from effreason.artifacts import Manifest
from effreason.frozen import Frozen
from effreason.specs import Spec

STORE = {"kind": "folder", "path": "reproduced"}

LOST = "The store no longer holds the problems, so their order is missing here: put them into `reproduced` first."


def order_lines(preparation: Manifest | None, spec: Spec) -> Iterator[str]:
    """Yield the commands and the order files of `effreason step`, first for the problems and then for `spec`."""
    specs = [*([preparation.spec] if preparation else []), spec]
    yield "Save each order below under its name; in the same folder"
    yield from ("", "```bash", *(f"effreason step {each.step} {each.step}.json" for each in specs), "```", "")
    yield "makes the policy again, under its address, in the store `reproduced`; other hardware rounds differently."
    places = sorted({place for each in specs for place in places_of(each)})
    if places:
        yield f"Fill in the paths of {', '.join(places)} first; no step compares them with their digests."
    if preparation is None:
        yield LOST
    for each in specs:
        order = json.dumps({"spec": portable(each), "store": STORE}, indent=2, ensure_ascii=False)
        yield from ("", "<details>", f"<summary>{each.step}.json</summary>", "", "```json", order, "```", "")
        yield "</details>"


def portable(value: object) -> object:
    """Return the value as plain JSON of the same fingerprint, without what belongs to this machine.

    Of unhashed fields the last part of a path stays, where a digest says what has to lie there; a reader's own value,
    or the default, replaces the rest.
    """
    if isinstance(value, Frozen):
        hashed = [name for name in type(value).model_fields if name not in value.unhashed]
        return {name: portable(getattr(value, name)) for name in hashed} | _names(value)
    if isinstance(value, (tuple, list)):
        return [portable(item) for item in value]
    return value


def places_of(value: object) -> Iterator[str]:
    """Yield the names of the files and folders whose paths a reader has to fill in."""
    if isinstance(value, Frozen):
        yield from _names(value).values()
        value = [getattr(value, name) for name in type(value).model_fields]
    if isinstance(value, (tuple, list)):
        for item in value:
            yield from places_of(item)


def _names(value: Frozen) -> dict[str, str]:
    if "digest" not in type(value).model_fields:
        return {}
    paths = {name: getattr(value, name) for name in sorted(value.unhashed)}
    return {name: PurePath(path).name for name, path in paths.items() if path is not None}
