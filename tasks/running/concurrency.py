"""The limit on concurrent steps of one flow run, and the event that ends them all."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tasks.running.process import Stopped

LEAVING_SECONDS = 15.0
"""Time limit for all steps to end: longer than the grace period of a stopped step."""


class ConcurrencyLimit:
    """A limit shared by the threads of a flow run's tasks, which enter in the order in which they arrived."""

    def __init__(self, most: int | None) -> None:
        """Allow `most` steps at a time; None sets no limit."""
        self.stopping = threading.Event()
        self._most = most
        self._inside: list[object] = []
        self._changed = threading.Condition()

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Wait for one of the allowed slots and hold it for the block. Raises `Stopped` if the run has been stopped."""
        me = object()
        with self._changed:
            self._inside.append(me)
        try:
            with self._changed:
                self._changed.wait_for(
                    lambda: self.stopping.is_set() or self._most is None or self._inside.index(me) < self._most
                )
            if self.stopping.is_set():
                raise Stopped
            yield
        finally:
            with self._changed:
                self._inside.remove(me)
                self._changed.notify_all()

    def stop(self) -> None:
        """Give no more slots, and tell the steps that have one to end."""
        self.stopping.set()
        with self._changed:
            self._changed.notify_all()

    def wait_until_empty(self) -> None:
        """Return when every step has left, or after `LEAVING_SECONDS`."""
        with self._changed:
            self._changed.wait_for(lambda: not self._inside, LEAVING_SECONDS)
