"""What a store holds and no longer needs: attempts that were never sealed, checkpoints that others have replaced,
checkpoints of sealed steps, and uploads that nobody completed.

A step is looked at as a whole: while anything below its address is younger than the limit, somebody may be at work
there, and all of it stays. What a manifest names stays for ever, and so does the newest whole checkpoint of a step
that is not sealed. Where a manifest is damaged nothing is removed.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import get_args

from effreason.specs import Address, StepName
from effreason.store.shelf import Damaged, Entry, Shelf

ADDRESS = re.compile(r"(?:working/)?(\w+/[0-9a-f]{24})/")
"""The beginning of the key of anything that belongs to an address."""

Needed = Callable[[Address, Mapping[str, int]], set[str]]
"""A function that picks the keys that an address needs from all, with bytes. Raises `Damaged` where that is unknown."""


@dataclass(frozen=True)
class Litter:
    """The unneeded files of one address. Made by `litter`; removed by `Store.remove`."""

    address: Address
    entries: tuple[Entry, ...]

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(entry.size for entry in self.entries)


def litter(shelf: Shelf, needed: Needed, before: datetime) -> Iterator[Litter]:
    """Yield the litter by address; each is checked again at the moment when it is yielded."""
    newest: dict[Address, datetime] = {}
    for folder in (*get_args(StepName), "working"):
        for entry in shelf.entries(folder):
            if found := ADDRESS.match(entry.key):
                newest[found[1]] = max(entry.changed, newest.get(found[1], entry.changed))
    for address in sorted(address for address, changed in newest.items() if changed < before):
        if unneeded := tuple(_unneeded(shelf, address, needed, before)):
            yield Litter(address, unneeded)


def _unneeded(shelf: Shelf, address: Address, needed: Needed, before: datetime) -> Iterator[Entry]:
    entries = [*shelf.entries(address), *shelf.entries(f"working/{address}")]
    if any(entry.changed >= before for entry in entries):
        return
    try:
        keys = needed(address, {entry.key: entry.size for entry in entries if entry.upload is None})
    except Damaged:
        return
    yield from (entry for entry in entries if entry.upload is not None or entry.key not in keys)
