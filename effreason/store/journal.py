"""Numbered pages, each written once and whole: the smallest thing that many writers can agree on.

A page lies at JOURNAL/000001.json. Whoever wants to follow page n writes page n + 1; where several do at the same
moment, one of their pages stands and all of them read it. A writer that dies leaves the page whole or not at all.

Where the shelf is not exclusive (see `shelf.Shelf`), two writers at the very same moment may both take theirs for the
one that stands, and the later of them is read from then on.
"""

import re

from effreason.store.shelf import Shelf

PAGE = re.compile(r"(\d{6,})\.json")


class Journal:
    """The pages below `folder`, which is made with the first of them."""

    def __init__(self, shelf: Shelf, folder: str) -> None:
        self._shelf = shelf
        self._folder = folder

    def last(self) -> int:
        """Return the number of the last page; 0 where there is none."""
        names = (key.rpartition("/")[2] for key in self._shelf.keys(self._folder))
        return max((int(page[1]) for name in names if (page := PAGE.fullmatch(name))), default=0)

    def read(self, number: int) -> bytes | None:
        return self._shelf.read(self._key(number))

    def write(self, number: int, content: bytes) -> bytes | None:
        """Write the page unless it exists; return what stands on it afterwards, read back.

        The answer shows whose page it is, and whether a write succeeded whose reply was lost.
        """
        if self._shelf.exclusive:
            self._shelf.write_first(self._key(number), content)
        elif self.read(number) is None:
            self._shelf.write(self._key(number), content)
        return self.read(number)

    def where(self) -> str:
        """Return the place as a person finds it."""
        return self._shelf.where(self._folder)

    def _key(self, number: int) -> str:
        return f"{self._folder}/{number:06d}.json"


def journals(shelf: Shelf, folder: str) -> list[str]:
    """Return the names of the journals that lie side by side below `folder`, sorted."""
    keys = (key.removeprefix(f"{folder}/") for key in shelf.keys(folder))
    return sorted({key.partition("/")[0] for key in keys if PAGE.fullmatch(key.partition("/")[2])})
