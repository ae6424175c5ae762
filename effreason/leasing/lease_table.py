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
from effreason.leasing import locked_files
from effreason.leasing.allotting import FreeDevices
from effreason.leasing.locked_files import LockedFile
from effreason.leasing.records import Claim, Lease, Ticket

Record = TypeVar("Record", bound=Frozen)


class Allotment(NamedTuple):
    """The devices that a ticket gets. Made by `LeaseTable`; `DeviceQueue` computes them again before it grants them."""

    parts: dict[str, float]
    """The fraction of each device."""
    leases: dict[str, int]
    """The number of leases on each of them."""


class LeaseTable:
    """The leasing folder. Reading it changes nothing except that files of dead processes are removed."""

    def __init__(self, folder: Path) -> None:
        """Use a folder that `leases_folder` has made."""
        self._folder = folder

    def queue(self) -> Iterator[tuple[str, Ticket]]:
        """Yield the waiting tickets by name, in order of arrival."""
        for name, text in locked_files.valid(self._folder / "queue"):
            yield name, self._read(Ticket, name, text)

    def leases(self) -> Iterator[Lease]:
        """Yield the leases that are held, the oldest first."""
        for name, text in locked_files.valid(self._folder / "leases"):
            yield self._read(Lease, name, text)

    def line_up(self, ticket: Ticket) -> LockedFile:
        """Add a ticket behind all earlier ones."""
        return locked_files.write(self._folder / "queue", ticket.model_dump_json())

    def grant(self, lease: Lease) -> LockedFile:
        """Write a lease. To be called under `grant_lock`, and for what is due."""
        return locked_files.write(self._folder / "leases", lease.model_dump_json())

    def due(self, mine: Mapping[str, Claim], barred: Mapping[str, float]) -> dict[str, Allotment]:
        """Return, for the tickets in `mine`, by name, what is due to those whose turn it is.

        The fractions in `barred` count as taken of their devices, beside what is leased.
        """
        wanted = {device for claim in mine.values() for device in claim.parts}
        leased = [lease.parts for lease in self.leases()]
        free = FreeDevices([*leased, barred])
        found: dict[str, Allotment] = {}
        if free.spent(wanted):
            return found
        for name, ticket in self.queue():
            parts = free.allot(ticket.claim)
            if parts is not None and name in mine:
                found[name] = Allotment(parts, {device: sum(device in lease for lease in leased) for device in parts})
            if free.spent(wanted):
                break
        return found

    @contextmanager
    def grant_lock(self) -> Iterator[bool]:
        """Take the right to grant, which one process has at a time; False when another has it."""
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
                f"{name} in {self._folder}, which is in use, is not a valid {kind.__name__.lower()} for this version.",
                "Run only one version of effreason on this machine, or set EFFREASON_LEASES to another folder.",
            ) from error
