"""Is the answer in this completion the gold answer? RIGHT, WRONG or UNJUDGED, in bounded time, with the evidence.

    extraction   where in the text the answer stands, and which of several wins
    spelling     one spelling for the many ways to write the same thing
    plain        numbers, words and choices, decided in microseconds
    symbolic     everything else, by math-verify in worker processes under a deadline

Of several candidates in a text, the last closed `\\boxed{}` wins over the last `#### answer`, that over the last "the
answer is ...", and that over the last number or formula. A text without any is WRONG. What cannot be judged,
because the gold answer is unreadable, the grader failed or its time ran out, is UNJUDGED and counts neither way.

Only the answer is judged, not how it was reached, and equality is mathematical: where the task is to simplify, the
question itself would pass.
"""

import atexit
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from queue import LifoQueue
from typing import Self

from effreason.grading.extraction import answer_in
from effreason.grading.plain import decide, is_plain
from effreason.grading.spelling import bare
from effreason.grading.workers import Worker
from effreason.records import Judgement, Verdict

SECONDS = 0.7
"""The processor time that one formula may take."""
WORKERS = min(4, os.cpu_count() or 1)

_Formulas = tuple[str, str]
"""An answer and a gold answer that differ in more than their spelling."""


class Graders:
    """Judges completions; starts up to `workers` processes, and only once a formula needs them.

    May be called from several threads. Raises `StepFailure` when math-verify is needed and cannot be started.
    """

    def __init__(self, workers: int = WORKERS, seconds: float = SECONDS) -> None:
        self._threads = workers
        self._workers = [Worker(seconds) for _ in range(workers)]
        self._idle: LifoQueue[Worker] = LifoQueue()
        for worker in self._workers:
            self._idle.put(worker)

    def grade(self, text: str, gold: str) -> Judgement:
        """Return the verdict on one completion."""
        return self.grade_all([(text, gold)])[0]

    def grade_all(self, pairs: Iterable[tuple[str, str]]) -> list[Judgement]:
        """Return the verdict on each (text, gold) in order; equal formulas are judged once."""
        found = [(answer_in(text), gold) for text, gold in pairs]
        plain = [Verdict.WRONG if answer is None else decide(answer, gold) for answer, gold in found]
        undecided = [(answer or "", gold) for (answer, gold), verdict in zip(found, plain, strict=True) if not verdict]
        judged = self._judged(undecided)
        return [
            Judgement(verdict or judged[answer or "", gold], answer)
            for (answer, gold), verdict in zip(found, plain, strict=True)
        ]

    def accepted(self, golds: Sequence[str]) -> list[bool]:
        """Return whether each gold answer, boxed, is found and judged RIGHT against itself.

        A formula must be read by math-verify for that: being spelled the same is not enough.
        """
        found = [answer_in(f"\\boxed{{{gold}}}") == gold.strip() != "" for gold in golds]
        formulas = [(gold, gold) for gold, ok in zip(golds, found, strict=True) if ok and not is_plain(gold)]
        judged = self._judged(formulas)
        return [
            ok and judged.get((gold, gold), Verdict.RIGHT) is Verdict.RIGHT
            for gold, ok in zip(golds, found, strict=True)
        ]

    def close(self) -> None:
        """End the processes. They start again if there is more to judge."""
        for _ in self._workers:
            self._idle.get().close()
        for worker in self._workers:
            self._idle.put(worker)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _judged(self, formulas: list[_Formulas]) -> dict[_Formulas, Verdict]:
        formulas = list(dict.fromkeys(formulas))
        if len(formulas) < 2:
            return {pair: self._ask(pair) for pair in formulas}
        with ThreadPoolExecutor(self._threads, "grading") as threads:
            return dict(zip(formulas, threads.map(self._ask, formulas), strict=True))

    def _ask(self, formulas: _Formulas) -> Verdict:
        worker = self._idle.get()
        try:
            answer, gold = formulas
            return worker.ask(bare(answer), bare(gold))
        finally:
            self._idle.put(worker)


@cache
def shared(workers: int = WORKERS, seconds: float = SECONDS) -> Graders:
    """Return this process's graders for these settings; they are closed when it ends."""
    graders = Graders(workers, seconds)
    atexit.register(graders.close)
    return graders


def grade(text: str, gold: str) -> Judgement:
    """Return the verdict on one completion, `gold` being the gold answer alone."""
    return shared().grade(text, gold)


def grade_all(pairs: Iterable[tuple[str, str]], workers: int = WORKERS, seconds: float = SECONDS) -> list[Judgement]:
    """Return the verdict on each (text, gold) in order."""
    return shared(workers, seconds).grade_all(pairs)
