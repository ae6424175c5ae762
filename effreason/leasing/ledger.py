"""Tickets and leases of the whole machine, as they are at this moment."""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

from pydantic import ValidationError

from effreason.errors import StepFailure
from effreason.frozen import Frozen
from effreason.leasing import papers
from effreason.leasing.allotting import Stock
from effreason.leasing.papers import Paper
from effreason.leasing.records import Claim, Lease, Ticket

Record = TypeVar("Record", bound=Frozen)


class Due(NamedTuple):
    """What a ticket gets. Made by `Ledger`; `Desk` finds the same again before it grants that."""

    parts: dict[str, float]
    """Of which devices."""
    leases: dict[str, int]
    """How many there are on each of them."""


class Ledger:
    """The leasing folder. Reading it changes nothing but for clearing away what the dead have left."""

    def __init__(self, folder: Path) -> None:
        """`folder` is one that `leases_folder` has made."""
        self._folder = folder

    def queue(self) -> Iterator[tuple[str, Ticket]]:
        """By name, who waits, the first come first."""
        for name, text in papers.valid(self._folder / "queue"):
            yield name, self._read(Ticket, name, text)

    def leases(self) -> Iterator[Lease]:
        """What is held, the oldest lease first."""
        for name, text in papers.valid(self._folder / "leases"):
            yield self._read(Lease, name, text)

    def line_up(self, ticket: Ticket) -> Paper:
        """Wait behind all who have come before."""
        return papers.write(self._folder / "queue", ticket.model_dump_json())

    def grant(self, lease: Lease) -> Paper:
        """To be called by one at a time, and for what is due."""
        return papers.write(self._folder / "leases", lease.model_dump_json())

    def due(self, mine: Mapping[str, Claim], barred: Mapping[str, float]) -> dict[str, Due]:
        """Of the tickets in `mine`, by name, those whose turn it is.

        Of the devices in `barred` as much is taken, beside what is leased.
        """
        wanted = {device for claim in mine.values() for device in claim.parts}
        leased = [lease.parts for lease in self.leases()]
        stock = Stock([*leased, barred])
        found: dict[str, Due] = {}
        if stock.spent(wanted):
            return found
        for name, ticket in self.queue():
            parts = stock.meet(ticket.claim)
            if parts is not None and name in mine:
                found[name] = Due(parts, {device: sum(device in lease for lease in leased) for device in parts})
            if stock.spent(wanted):
                break
        return found

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """The right to grant, which one has at a time; False when somebody else has it."""
        descriptor = os.open(self._folder / "gate", os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            entered = True
        except BlockingIOError:
            entered = False
        try:
            yield entered
        finally:
            os.close(descriptor)

    def _read(self, kind: type[Record], name: str, text: str) -> Record:
        try:
            return kind.model_validate_json(text)
        except ValidationError as error:
            raise StepFailure(
                f"{name} in {self._folder}, which somebody holds, is no {kind.__name__.lower()} of this version.",
                "Let one version of effreason run on this machine, or name another folder in EFFREASON_LEASES.",
            ) from error
