"""The tallies: what each run of the machine has counted, in a file of its own that the server of the metrics reads.

    metrics/run-RANDOM.lock     held for as long as the run lives
    metrics/run-RANDOM.json     its tally

The folder is beside the leases of the machine (`effreason.leasing.folder`), so that all its runs find it. A tally stays
when its run is over, since counters must not fall, and the next run of the same user continues it: there are never more
tallies than there were concurrent runs. Counts of running steps are taken only from runs that still hold their lock.
"""

import logging
import os
import secrets
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import BaseModel, ValidationError

from effreason.leasing.folder import MODE, leases_folder
from tasks.local.daemons import Daemon

Role = Literal["run", "worker"]
Outcome = Literal["made", "found", "failed", "stopped"]
BOUNDS = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 3 * 3600.0, 12 * 3600.0, 48 * 3600.0)
"""The upper ends of the buckets for the duration of steps, in seconds; one more bucket holds the rest."""

log = logging.getLogger(__name__)


class Durations(BaseModel):
    """A histogram of the duration of turns of one kind of step."""

    buckets: list[int] = [0] * (len(BOUNDS) + 1)
    seconds: float = 0.0
    """Sum of the durations."""

    def add(self, seconds: float) -> None:
        self.buckets[sum(seconds > bound for bound in BOUNDS)] += 1
        self.seconds += seconds


class Tally(BaseModel):
    """The counts of one run and those before it, by kind of step. Made by `tasks.metrics.meter`; read by `serving`."""

    outcomes: dict[str, Counter[str]] = {}
    durations: dict[str, Durations] = {}
    """The durations of the steps that were made."""
    tokens: Counter[str] = Counter()
    gpu_seconds: defaultdict[str, float] = defaultdict(float)
    core_seconds: defaultdict[str, float] = defaultdict(float)
    running: Counter[str] = Counter()


class Kept(NamedTuple):
    """A tally as it was found on disk. Made by `tallies`."""

    role: str
    """`run` or `worker`."""
    live: bool
    tally: Tally


class Book:
    """The tally of this process until it ends. May be used from any thread.

    A run does not fail if its metrics cannot be written: there is one warning, and writing is tried again.
    """

    def __init__(self, role: Role) -> None:
        self.tally = Tally()
        self.lock = threading.Lock()
        self._daemon: Daemon | None = None
        self._warned = False
        try:
            self._daemon = _taken(role)
            self.tally = _written(self._daemon) or self.tally
        except OSError as error:
            self._warn(error)
        self.tally.running.clear()
        self.write()

    def write(self) -> None:
        """Write the tally for others to read. After the first time, to be called with the lock held."""
        if self._daemon is None:
            return
        try:
            self._daemon.publish(self.tally.model_dump())
        except OSError as error:
            self._warn(error)

    def _warn(self, error: OSError) -> None:
        if not self._warned:
            self._warned = True
            log.warning("The metrics counters cannot be written: %s.", error)


def folder() -> Path:
    """Return the folder of this machine's tallies, which is created for all its users if need be."""
    place = leases_folder() / "metrics"
    with suppress(FileExistsError):
        place.mkdir()
        place.chmod(MODE)
    return place


def tallies() -> Iterator[Kept]:
    """Yield the tallies of every run and every worker that this machine has had since it was started."""
    place = folder()
    for path in sorted(place.glob("*.json")):
        daemon = Daemon(place, path.stem)
        tally = _written(daemon)
        if tally is not None:
            yield Kept(path.stem.partition("-")[0], daemon.running(), tally)


def _taken(role: Role) -> Daemon:
    """Take over a tally whose holder is gone, or else make another."""
    place, own = folder(), os.getuid()
    for path in sorted(place.glob(f"{role}-*.lock")):
        left = Daemon(place, path.stem)
        if path.stat().st_uid == own and not left.running() and _written(left) is not None and left.acquire():
            return left
    daemon = Daemon(place, f"{role}-{secrets.token_hex(8)}")
    daemon.acquire()
    return daemon


def _written(daemon: Daemon) -> Tally | None:
    """Return the tally on disk; None if another user does not let us read it, or if it is of another version."""
    try:
        return Tally.model_validate(daemon.record() or {})
    except (PermissionError, ValidationError):
        return None
