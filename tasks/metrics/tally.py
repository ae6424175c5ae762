"""What each run of the machine has counted, in a file of its own that whoever serves the metrics reads.

    metrics/run-RANDOM.lock     held for as long as the run lives
    metrics/run-RANDOM.json     its tally

beside the leases of the machine (`effreason.leasing.folder`), so that all its runs find the same folder. A tally stays
when its run is over, since counters must not fall, and the next run of the same user goes on with it: there are no more
tallies than runs were side by side. What counts only for the living is read while the lock is held.
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
"""Seconds: the upper ends of the buckets for how long steps take; one more bucket has the rest."""

log = logging.getLogger(__name__)


class Durations(BaseModel):
    """A histogram of the turns of one kind of step."""

    buckets: list[int] = [0] * (len(BOUNDS) + 1)
    seconds: float = 0.0
    """Added up."""

    def add(self, seconds: float) -> None:
        self.buckets[sum(seconds > bound for bound in BOUNDS)] += 1
        self.seconds += seconds


class Tally(BaseModel):
    """Of one run and those before it, by the kind of step. Made by `tasks.metrics.meter`; read by `serving`."""

    outcomes: dict[str, Counter[str]] = {}
    durations: dict[str, Durations] = {}
    """Of the steps that were made."""
    tokens: Counter[str] = Counter()
    gpu_seconds: defaultdict[str, float] = defaultdict(float)
    core_seconds: defaultdict[str, float] = defaultdict(float)
    running: Counter[str] = Counter()


class Kept(NamedTuple):
    """A tally as it is found. Made by `tallies`."""

    role: str
    """`run` or `worker`."""
    live: bool
    tally: Tally


class Book:
    """The tally of this process, until it ends. From any thread.

    A run does not fail for want of metrics: what cannot be written is warned of once, and tried again.
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
        """Where others read it. To be called with the lock, but for the first time."""
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
    """Of the tallies of this machine; made if need be, for all its users."""
    place = leases_folder() / "metrics"
    with suppress(FileExistsError):
        place.mkdir()
        place.chmod(MODE)
    return place


def tallies() -> Iterator[Kept]:
    """Of every run that this machine has had since it was started, and of every worker."""
    place = folder()
    for path in sorted(place.glob("*.json")):
        daemon = Daemon(place, path.stem)
        tally = _written(daemon)
        if tally is not None:
            yield Kept(path.stem.partition("-")[0], daemon.running(), tally)


def _taken(role: Role) -> Daemon:
    """One whose holder is gone, or else another one."""
    place, own = folder(), os.getuid()
    for path in sorted(place.glob(f"{role}-*.lock")):
        left = Daemon(place, path.stem)
        if path.stat().st_uid == own and not left.running() and _written(left) is not None and left.acquire():
            return left
    daemon = Daemon(place, f"{role}-{secrets.token_hex(8)}")
    daemon.acquire()
    return daemon


def _written(daemon: Daemon) -> Tally | None:
    """None for one that is another user's own affair, or of another version."""
    try:
        return Tally.model_validate(daemon.record() or {})
    except (PermissionError, ValidationError):
        return None
