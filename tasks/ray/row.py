"""The seats of one flow run: asked of the cluster as steps need them, and passed on from each step to the next.

To make a seat takes seconds, in which its GPUs would be idle. So a step that has ended well leaves its seat to the one
that has waited longest for a seat like it, whose own request is then withdrawn; only a seat for which nobody of the
flow run waits goes back to the cluster.
"""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tasks.ray.cluster import Claim, RemoteSeat
from tasks.running.process import TICK_SECONDS


class Row:
    """Shared by the threads of a flow run's tasks."""

    def __init__(self, ask: Callable[[Claim], RemoteSeat]) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._taken: list[RemoteSeat] = []
        self._spare: defaultdict[Claim, list[RemoteSeat]] = defaultdict(list)
        """Never more than there are steps that wait for one."""
        self._waiting: defaultdict[Claim, list[object]] = defaultdict(list)

    @property
    def taken(self) -> int:
        """Seats on which a step runs."""
        return len(self._taken)

    @contextmanager
    def seat(self, claim: Claim, watch: Callable[[], None]) -> Iterator[RemoteSeat]:
        """Wait for a seat. `watch` is called many times a second meanwhile; what it raises ends the waiting."""
        seat = self._come(claim, watch)
        self._taken.append(seat)
        try:
            yield seat
        except BaseException:
            seat.good = False
            raise
        finally:
            self._taken.remove(seat)
            self._leave(claim, seat)

    def _come(self, claim: Claim, watch: Callable[[], None]) -> RemoteSeat:
        me, asked = object(), self._ask(claim)
        with self._lock:
            self._waiting[claim].append(me)
        try:
            while not asked.come(TICK_SECONDS):
                watch()
                if passed_on := self._passed_on(claim, me):
                    asked.give_back()
                    return passed_on
        except BaseException:
            asked.give_back()
            raise
        finally:
            self._wait_no_longer(claim, me)
        return asked

    def _passed_on(self, claim: Claim, me: object) -> RemoteSeat | None:
        with self._lock:
            first = self._waiting[claim][0] is me
            return self._spare[claim].pop() if first and self._spare[claim] else None

    def _wait_no_longer(self, claim: Claim, me: object) -> None:
        with self._lock:
            self._waiting[claim].remove(me)
            spare = self._spare[claim]
            surplus = [spare.pop() for _ in range(len(spare) - len(self._waiting[claim]))]
        for seat in surplus:
            seat.give_back()

    def _leave(self, claim: Claim, seat: RemoteSeat) -> None:
        with self._lock:
            wanted = seat.good and len(self._spare[claim]) < len(self._waiting[claim])
            if wanted:
                self._spare[claim].append(seat)
        if not wanted:
            seat.give_back()
