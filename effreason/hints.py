"""What an experiment can say at a place: for the errors that point at a wrong key or kind in its file."""

import difflib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from effreason.experiment import Experiment

Place = Sequence[str | int]
"""A path of keys, and of indices of list elements."""


def kinds_at(place: Place) -> list[str]:
    """Return the kinds of things that the schema knows at the place."""
    known = (node.get("discriminator", {}).get("mapping", {}) for node in _nodes(place))
    return list(dict.fromkeys(kind for mapping in known for kind in mapping))


def instead_of(key: str, place: Place) -> str:
    """Return a remedy for a key that the table at `place` does not have."""
    here = [node for node in _nodes(place) if "properties" in node]
    owners = [kind for node in here if key in node["properties"] and (kind := _kind(node))]
    if owners:
        return f"it is a key of {' and '.join(owners)}."
    for known in ({name for node in here for name in node["properties"]}, _all_keys()):
        if key in known:
            return "it belongs to another table; see `effreason schema`."
        if close := difflib.get_close_matches(key, sorted(known), n=1):
            return f"did you mean `{close[0]}`?"
    return "remove it, or see `effreason schema` for the valid keys."


@lru_cache
def _schema() -> dict[str, Any]:
    return Experiment.model_json_schema()


def _all_keys() -> set[str]:
    return {name for part in (_schema(), *_schema()["$defs"].values()) for name in part.get("properties", {})}


def _nodes(place: Place) -> list[dict[str, Any]]:
    """Return every part of the schema that may describe what is at the place."""
    nodes = list(_alternatives(_schema()))
    for part in place:
        nodes = [one for node in nodes for child in _children(node, part) for one in _alternatives(child)]
    return nodes


def _alternatives(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    while "$ref" in node:
        node = _schema()["$defs"][node["$ref"].rpartition("/")[2]]
    yield node
    for one in (*node.get("oneOf", ()), *node.get("anyOf", ())):
        yield from _alternatives(one)


def _children(node: dict[str, Any], part: str | int) -> list[dict[str, Any]]:
    child = node.get("items") if isinstance(part, int) else node.get("properties", {}).get(part)
    return [child] if isinstance(child, dict) else []


def _kind(node: dict[str, Any]) -> str | None:
    """Return the kind, such as `ppo`; None for what there is but one kind of."""
    told = (node["properties"].get(name, {}).get("const") for name in ("kind", "source"))
    return next((kind for kind in told if isinstance(kind, str)), None)
