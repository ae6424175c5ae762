"""Where the threads of one process wait for devices.

Each has a ticket of its own in the machine's queue; one of them looks for all of them, every `LOOK_SECONDS` and when a
device is given back here. What is due is found without holding anybody up, and found again at the gate, where one
process of the machine grants at a time; what has changed between is left for the next look.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from effreason.errors import EffreasonError, StepFailure
from effreason.leasing.lease_table import Allotment, LeaseTable
from effreason.leasing.locked_files import LockedFile
from effreason.leasing.records import CORES, Holder, Lease, Ticket

LOOK_SECONDS = 0.05
"""The interval at which devices are checked that another process may have given back."""
PATIENCE_SECONDS = 10.0
"""The wait after which a step is told why it waits."""
OCCUPIED_SECONDS = 0.5
"""The interval at which a device is checked again that runs more than is leased, or of which that cannot be known."""
UNKNOWN_SECONDS = 60.0
"""The time limit for a device whose load is unknown: longer than Docker takes to restart."""

Occupied = Callable[[str], int]
"""A function that counts the steps on the device of this name that are no children of a launcher, such as containers.

Each has a lease for as long as its launcher lives. It raises `EffreasonError` where the count cannot be known at this
moment.
"""


def never(device: str) -> int:
    """Return 0, the count where every step is a child of its launcher."""
    return 0


@dataclass
class Waiter:
    """One waiting thread. Made and read by `DeviceQueue`."""

    ticket: Ticket
    lock: LockedFile
    explain: Callable[[], None]
    began: float = field(default_factory=time.monotonic)
    granted: "Granted | None" = None
    refused: EffreasonError | None = None
    """The reason why it gets nothing."""
    unknown_since: float | None = None
    """The time since when the load of a device that it was to get has been unknown."""

    @property
    def answered(self) -> bool:
        return self.granted is not None or self.refused is not None


@dataclass(frozen=True)
class Granted:
    """The devices of a step. Made by `DeviceQueue`; read by `tasks.running.turns`."""

    parts: dict[str, float]
    lock: LockedFile


class DeviceQueue:
    """The waiting threads of this process, and the devices that they are given."""

    def __init__(self, table: LeaseTable, occupied: Occupied = never) -> None:
        self._table = table
        self._occupied = occupied
        self._occupied_until: dict[str, float] = {}
        self._waiters: dict[str, Waiter] = {}
        self._attended = False
        self._changed = threading.Condition()

    @contextmanager
    def take(
        self, ticket: Ticket, stopping: threading.Event, explain: Callable[[], None] = lambda: None
    ) -> Iterator[Granted | None]:
        """Wait for devices and give them back at the end; None when `stopping` is set before there are any.

        `explain` is called in this thread, perhaps more than once, when that takes long.

        Raises:
            EffreasonError: there is no room for the lease, or nobody can tell what runs on the device.
        """
        lock = self._table.line_up(ticket)
        waiter = Waiter(ticket, lock, explain)
        with self._changed:
            self._waiters[lock.path.name] = waiter
            self._changed.notify_all()
        try:
            yield self._awaited(waiter, stopping)
        finally:
            self._leave(waiter)

    def wake(self) -> None:
        """Have every waiting thread check at once whether to go on waiting."""
        with self._changed:
            self._changed.notify_all()

    def _leave(self, waiter: Waiter) -> None:
        with self._changed:
            waited_in_vain = self._waiters.pop(waiter.lock.path.name, None) is not None
        if waited_in_vain:
            waiter.lock.withdraw()
        if waiter.granted is not None:
            waiter.granted.lock.withdraw()
        self.wake()

    def _awaited(self, waiter: Waiter, stopping: threading.Event) -> Granted | None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: waiter.answered or stopping.is_set() or not self._attended)
                if stopping.is_set():
                    return None
                if waiter.refused is not None:
                    raise waiter.refused
                if waiter.granted is not None:
                    return waiter.granted
                self._attended = True
            try:
                self._attend(waiter, stopping)
            finally:
                with self._changed:
                    self._attended = False
                    self._changed.notify_all()

    def _attend(self, waiter: Waiter, stopping: threading.Event) -> None:
        """Check for all threads that wait here, until there is something for the one that checks."""
        while True:
            self._serve()
            with self._changed:
                if waiter.answered or stopping.is_set():
                    return
                self._changed.wait(LOOK_SECONDS)
            if time.monotonic() - waiter.began > PATIENCE_SECONDS:
                waiter.explain()

    def _serve(self) -> None:
        due = self._unoccupied()
        if not due:
            return
        with self._table.grant_lock() as entered:
            if entered:
                for name, found in self._due().items():
                    if due.get(name) == found:
                        self._grant(name, found.parts)

    def _unoccupied(self) -> dict[str, Allotment]:
        """Return what is due of devices that run no more than is leased.

        Asking may take a while, so it is done outside the lock for granting.
        """
        while True:
            due = self._due()
            devices = {device for found in due.values() for device in found.parts} - {CORES}
            occupied = [device for device in sorted(devices) if self._crowded(device, due)]
            if not occupied:
                return due
            self._occupied_until.update(dict.fromkeys(occupied, time.monotonic() + OCCUPIED_SECONDS))

    def _crowded(self, device: str, due: Mapping[str, Allotment]) -> bool:
        """Return whether a step without a lease may be on the device."""
        leases = max(found.leases.get(device, 0) for found in due.values())
        try:
            return self._occupied(device) > leases
        except EffreasonError as error:
            self._doubt([name for name, found in due.items() if device in found.parts], error)
            return True

    def _due(self) -> dict[str, Allotment]:
        with self._changed:
            mine = {name: waiter.ticket.claim for name, waiter in self._waiters.items()}
        barred = {device: 1.0 for device, until in self._occupied_until.items() if time.monotonic() < until}
        return self._table.due(mine, barred)

    def _grant(self, name: str, parts: dict[str, float]) -> None:
        with self._changed:
            waiter = self._waiters.get(name)
            if waiter is None:
                return  # its thread has given up since
            try:
                waiter.granted = Granted(parts, self._table.grant(_lease(waiter.ticket.holder, parts)))
            except StepFailure as failure:  # a full disk is the trouble of the step that wanted the lease
                waiter.refused = failure
            self._answered(waiter)

    def _doubt(self, names: Iterable[str], error: EffreasonError) -> None:
        """Note that the load of these threads' devices is unknown; refuse one that has waited for that too long."""
        moment = time.monotonic()
        with self._changed:
            for waiter in [self._waiters[name] for name in names if name in self._waiters]:
                waiter.unknown_since = waiter.unknown_since or moment
                if moment - waiter.unknown_since > UNKNOWN_SECONDS:
                    waiter.refused = error
                    self._answered(waiter)

    def _answered(self, waiter: Waiter) -> None:
        """End the wait of a thread. To be called with `_changed` held."""
        del self._waiters[waiter.lock.path.name]
        self._changed.notify_all()
        waiter.lock.withdraw()


def _lease(holder: Holder, parts: dict[str, float]) -> Lease:
    return Lease(holder=Holder(**holder.model_dump(exclude={"since"})), parts=parts)
