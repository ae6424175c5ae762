"""How many steps of one flow run are under way at a time, and the event that ends them all."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tasks.running.process import Stopped

LEAVING_SECONDS = 15.0
"""More than the grace that a stopped step has."""


class ConcurrencyLimit:
    """Shared by the threads of a flow run's tasks, which enter in the order in which they came."""

    def __init__(self, most: int | None) -> None:
        """`most` steps side by side; None sets no limit."""
        self.stopping = threading.Event()
        self._most = most
        self._inside: list[object] = []
        self._changed = threading.Condition()

    @contextmanager
    def slot(self) -> Iterator[None]:
        """One of those that the experiment allows side by side. Raises `Stopped` where all is over."""
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
        """Let nobody in, and tell whoever is inside to end."""
        self.stopping.set()
        with self._changed:
            self._changed.notify_all()

    def wait_until_empty(self) -> None:
        """Return when everybody has left."""
        with self._changed:
            self._changed.wait_for(lambda: not self._inside, LEAVING_SECONDS)
