"""Where the threads of one process wait for devices.

Each has a ticket of its own in the machine's queue; one of them looks for all of them, every `LOOK_SECONDS` and when a
device is given back here. What is due is found without holding anybody up, and found again at the gate, where one
process of the machine grants at a time.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from effreason.leasing.ledger import Ledger
from effreason.leasing.papers import Paper
from effreason.leasing.records import CORES, Holder, Lease, Ticket

LOOK_SECONDS = 0.05
"""How soon a device is seen that another process has given back."""
PATIENCE_SECONDS = 10.0
"""How long nobody is told why a step waits."""
OCCUPIED_SECONDS = 0.5
"""How soon a device is asked about again that is leased by nobody and yet in use."""

Occupied = Callable[[str], bool]
"""Whether something still runs on the device of this name that is no child of a launcher, such as a container."""


def never(device: str) -> bool:
    """The answer where every step is a child of its launcher."""
    return False


@dataclass
class Slip:
    """One thread that waits. Made and read by `Desk`."""

    ticket: Ticket
    paper: Paper
    explain: Callable[[], None]
    began: float = field(default_factory=time.monotonic)
    granted: "Granted | None" = None


@dataclass(frozen=True)
class Granted:
    """What a step has. Made by `Desk`; read by `tasks.running.turns`."""

    parts: dict[str, float]
    paper: Paper


class Desk:
    """The waiting threads of this process, and what they are given."""

    def __init__(self, ledger: Ledger, occupied: Occupied = never) -> None:
        self._ledger = ledger
        self._occupied = occupied
        self._occupied_until: dict[str, float] = {}
        self._slips: dict[str, Slip] = {}
        self._attended = False
        self._changed = threading.Condition()

    @contextmanager
    def take(
        self, ticket: Ticket, stopping: threading.Event, explain: Callable[[], None] = lambda: None
    ) -> Iterator[Granted | None]:
        """Wait for devices and give them back at the end; None when `stopping` is set before there are any.

        `explain` is called in this thread, perhaps more than once, when that takes long.
        """
        paper = self._ledger.line_up(ticket)
        slip = Slip(ticket, paper, explain)
        with self._changed:
            self._slips[paper.path.name] = slip
            self._changed.notify_all()
        try:
            yield self._awaited(slip, stopping)
        finally:
            self._leave(slip)

    def wake(self) -> None:
        """Have everybody look at once whether to go on waiting."""
        with self._changed:
            self._changed.notify_all()

    def _leave(self, slip: Slip) -> None:
        with self._changed:
            waited_in_vain = self._slips.pop(slip.paper.path.name, None) is not None
        if waited_in_vain:
            slip.paper.withdraw()
        if slip.granted is not None:
            slip.granted.paper.withdraw()
        self.wake()

    def _awaited(self, slip: Slip, stopping: threading.Event) -> Granted | None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: slip.granted or stopping.is_set() or not self._attended)
                if stopping.is_set() or slip.granted is not None:
                    return None if stopping.is_set() else slip.granted
                self._attended = True
            try:
                self._attend(slip, stopping)
            finally:
                with self._changed:
                    self._attended = False
                    self._changed.notify_all()

    def _attend(self, slip: Slip, stopping: threading.Event) -> None:
        """Look for all who wait here, until there is something for the one who looks."""
        while True:
            self._serve()
            with self._changed:
                if slip.granted is not None or stopping.is_set():
                    return
                self._changed.wait(LOOK_SECONDS)
            if time.monotonic() - slip.began > PATIENCE_SECONDS:
                slip.explain()

    def _serve(self) -> None:
        due = self._unoccupied()
        if not due:
            return
        with self._ledger.alone() as entered:
            if entered:
                for name, parts in self._due().items():
                    if due.get(name) == parts:
                        self._grant(name, parts)

    def _unoccupied(self) -> dict[str, dict[str, float]]:
        """What is due of devices on which nothing runs. Asking may take a while, so it is done before the gate."""
        while True:
            due = self._due()
            devices = {device for parts in due.values() for device in parts if device != CORES}
            occupied = [device for device in sorted(devices) if self._occupied(device)]
            if not occupied:
                return due
            self._occupied_until.update(dict.fromkeys(occupied, time.monotonic() + OCCUPIED_SECONDS))

    def _due(self) -> dict[str, dict[str, float]]:
        with self._changed:
            mine = {name: slip.ticket.claim for name, slip in self._slips.items()}
        barred = {device: 1.0 for device, until in self._occupied_until.items() if time.monotonic() < until}
        return self._ledger.due(mine, barred)

    def _grant(self, name: str, parts: dict[str, float]) -> None:
        with self._changed:
            slip = self._slips.pop(name, None)
            if slip is None:
                return  # its thread has given up since
            slip.granted = Granted(parts, self._ledger.grant(_lease(slip.ticket.holder, parts)))
            self._changed.notify_all()
        slip.paper.withdraw()


def _lease(holder: Holder, parts: dict[str, float]) -> Lease:
    return Lease(holder=Holder(**holder.model_dump(exclude={"since"})), parts=parts)
