"""What each run of the machine has counted, in a file of its own that whoever serves the metrics reads.

    metrics/run-NUMBER-RANDOM.lock     held for as long as the run lives
    metrics/run-NUMBER-RANDOM.json     its tally

beside the leases of the machine (`effreason.leasing.folder`), so that all its runs find the same folder. A tally stays
when its run is over: counters must not fall. What counts only for the living is read while the lock is held.
"""

import os
import secrets
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import BaseModel, ValidationError

from effreason.leasing.folder import MODE, leases_folder
from tasks.local.posts import Post

Outcome = Literal["made", "found", "failed", "stopped"]
BOUNDS = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 3 * 3600.0, 12 * 3600.0, 48 * 3600.0)
"""Seconds: the upper ends of the buckets for how long steps take; one more bucket has the rest."""


class Durations(BaseModel):
    """A histogram of the turns of one kind of step."""

    buckets: list[int] = [0] * (len(BOUNDS) + 1)
    seconds: float = 0.0
    """Added up."""

    def add(self, seconds: float) -> None:
        self.buckets[sum(seconds > bound for bound in BOUNDS)] += 1
        self.seconds += seconds


class Tally(BaseModel):
    """Of one run, by the kind of step. Made by `tasks.metrics.meter`; read by `tasks.metrics.serving`."""

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
    """The tally of this process. From any thread."""

    def __init__(self, role: Literal["run", "worker"]) -> None:
        self.tally = Tally()
        self.lock = threading.Lock()
        self._post = Post(folder(), f"{role}-{os.getpid()}-{secrets.token_hex(4)}")
        self._post.take()
        self.write()

    def write(self) -> None:
        """Where others read it. To be called with the lock, but for the first time."""
        self._post.publish(self.tally.model_dump())


def folder() -> Path:
    """Of the tallies of this machine; made if need be, for all its users."""
    place = leases_folder() / "metrics"
    if not place.is_dir():
        place.mkdir(exist_ok=True)
        place.chmod(MODE)
    return place


def tallies(ended: dict[str, Kept]) -> Iterator[Kept]:
    """Of every run that this machine has had since it was started, and of every worker.

    `ended` remembers, from call to call, those that no longer change.
    """
    place = folder()
    for path in sorted(place.glob("*.json")):
        if path.stem not in ended:
            post = Post(place, path.stem)
            try:
                live = post.held()  # before it is read: what the dead have written is their last word
                tally = Tally.model_validate(post.record() or {})
            except (PermissionError, ValidationError):  # another user's own affair, or of another version
                continue
            kept = Kept(path.stem.partition("-")[0], live, tally)
            if live:
                yield kept
                continue
            ended[path.stem] = kept
        yield ended[path.stem]
