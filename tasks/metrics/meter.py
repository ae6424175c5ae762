"""Counts the steps of a run for Prometheus, if EFFREASON_METRICS_PORT is set: docs/observability.md."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from effreason.artifacts import Manifest
from effreason.cost import generated_tokens, spent_on
from effreason.errors import EffreasonError
from effreason.progress import Progress
from tasks.display.board import kind_of
from tasks.metrics.tally import Book, Durations, Outcome
from tasks.running.launching import Listener
from tasks.running.process import Stopped
from tasks.settings import metrics_port

SECONDS_BETWEEN_WRITES = 1.0
"""Least interval between writes of mere progress; the beginning and the end of a step are written at once."""


@contextmanager
def metered() -> Iterator[tuple[Listener, ...]]:
    """Yield a meter, and serve its counts during the block if no other process does; yield none if metrics are off."""
    port = metrics_port()
    if port is None:
        yield ()
        return
    from tasks.metrics.serving import serving

    with serving(port):
        meter = Meter()
        try:
            yield (meter,)
        finally:
            meter.close()


class Meter:
    """A `tasks.running.launching.Listener` that counts."""

    def __init__(self) -> None:
        self._book = Book("run")
        self._began: dict[str, float] = {}
        self._told: set[str] = set()
        """The labels of the steps that report their tokens while they run."""
        self._wrote = time.monotonic()

    def close(self) -> None:
        """Record that no step runs any more."""
        with self._book.lock:
            self._book.tally.running.clear()
            self._book.write()

    def found(self, label: str, manifest: Manifest) -> None:
        self._over(label, "found")

    def began(self, label: str) -> None:
        with self._book.lock:
            self._began[label] = time.monotonic()
            self._book.tally.running[kind_of(label)] += 1
            self._book.write()

    def progressed(self, label: str, progress: Progress) -> None:
        if not progress.generated_tokens:
            return
        with self._book.lock:
            self._told.add(label)
            self._book.tally.tokens[kind_of(label)] += progress.generated_tokens
            if time.monotonic() - self._wrote >= SECONDS_BETWEEN_WRITES:
                self._wrote = time.monotonic()
                self._book.write()

    def alarmed(self, label: str, sentence: str) -> None:
        pass

    def said(self, label: str, line: str) -> None:
        pass

    def ended(self, label: str, manifest: Manifest) -> None:
        kind, spent = kind_of(label), spent_on(manifest)
        tally = self._book.tally
        with self._book.lock:
            if label not in self._told:
                tally.tokens[kind] += generated_tokens(manifest)
            lasted = time.monotonic() - self._began[label]
            tally.durations.setdefault(kind, Durations()).add(lasted)
            tally.gpu_seconds[kind] += spent.gpu_seconds
            tally.core_seconds[kind] += spent.core_seconds
        self._over(label, "made")

    def failed(self, label: str, error: EffreasonError) -> None:
        self._over(label, "stopped" if isinstance(error, Stopped) else "failed")

    def _over(self, label: str, outcome: Outcome) -> None:
        kind, tally = kind_of(label), self._book.tally
        with self._book.lock:
            if self._began.pop(label, None) is not None:
                tally.running[kind] -= 1
            tally.outcomes.setdefault(kind, Counter())[outcome] += 1
            self._book.write()
