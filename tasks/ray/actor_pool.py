"""The actors of one flow run: requested from the cluster as steps need them, and passed on from step to step.

Creating an actor takes seconds, in which its GPUs would be idle. So a step that has succeeded leaves its actor to the
step that has waited longest for one like it, whose own request is then withdrawn; an actor goes back to the cluster
only if no step of the flow run waits for it.
"""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tasks.ray.cluster import Claim, RemoteActor
from tasks.running.process import TICK_SECONDS


class ActorPool:
    """A pool of actors, shared by the threads of a flow run's tasks."""

    def __init__(self, ask: Callable[[Claim], RemoteActor]) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._taken: list[RemoteActor] = []
        self._spare: defaultdict[Claim, list[RemoteActor]] = defaultdict(list)
        """Actors without a step, never more than there are steps waiting for one."""
        self._waiting: defaultdict[Claim, list[object]] = defaultdict(list)

    @property
    def taken(self) -> int:
        """The number of actors on which a step runs."""
        return len(self._taken)

    @contextmanager
    def actor(self, claim: Claim, watch: Callable[[], None]) -> Iterator[RemoteActor]:
        """Wait for an actor and hold it for the block.

        `watch` is called several times per second meanwhile; an error that it raises ends the wait.
        """
        actor = self._come(claim, watch)
        self._taken.append(actor)
        try:
            yield actor
        except BaseException:
            actor.good = False
            raise
        finally:
            self._taken.remove(actor)
            self._leave(claim, actor)

    def _come(self, claim: Claim, watch: Callable[[], None]) -> RemoteActor:
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

    def _passed_on(self, claim: Claim, me: object) -> RemoteActor | None:
        with self._lock:
            first = self._waiting[claim][0] is me
            return self._spare[claim].pop() if first and self._spare[claim] else None

    def _wait_no_longer(self, claim: Claim, me: object) -> None:
        with self._lock:
            self._waiting[claim].remove(me)
            spare = self._spare[claim]
            surplus = [spare.pop() for _ in range(len(spare) - len(self._waiting[claim]))]
        for actor in surplus:
            actor.give_back()

    def _leave(self, claim: Claim, actor: RemoteActor) -> None:
        with self._lock:
            wanted = actor.good and len(self._spare[claim]) < len(self._waiting[claim])
            if wanted:
                self._spare[claim].append(actor)
        if not wanted:
            actor.give_back()
