"""How far a large transfer has come."""

import threading
import time

from effreason.progress import Progress, Reporter

LARGE_BYTES = 100_000_000
"""The size from which transfers are reported: a smaller one is over before anybody has read of it."""
SECONDS_BETWEEN = 1.0
MEGABYTE = 1_000_000


class Meter:
    """Reports the progress of `total` bytes, in megabytes, about once a second. Threads may share it."""

    def __init__(self, phase: str, total: int, tell: Reporter) -> None:
        self._phase, self._total, self._tell = phase, total, tell
        self._done = 0
        self._spoke = time.monotonic()
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        """Count so many more bytes as transferred."""
        with self._lock:
            self._done += count
            due = time.monotonic() - self._spoke >= SECONDS_BETWEEN or self._done == self._total
            if self._total >= LARGE_BYTES and due:
                self._spoke = time.monotonic()
                done, total = self._done // MEGABYTE, self._total // MEGABYTE
                self._tell(Progress(phase=self._phase, done=done, total=total))
