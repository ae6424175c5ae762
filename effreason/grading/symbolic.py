"""Equality of formulas by math-verify, in a process of its own. The only module that imports it.

Reads questions as JSON lines from standard input and writes a verdict a line to standard output. Each question may take
so many seconds of processor time; then the operating system ends the process, even inside arithmetic that Python cannot
interrupt (9^(9^9)), and the parent starts another. It ends by itself when its input closes.
"""

import json
import logging
import resource
import signal
import sys

from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify

from effreason.records import Verdict

MEMORY_BYTES = 4 * 2**30
"""Address space of the process, so that a huge number ends it before it fills the machine."""

_READERS = (LatexExtractionConfig(boxed_match_priority=0), ExprExtractionConfig())


def judge(answer: str, gold: str) -> Verdict:
    """Judge whether `answer` equals `gold`. UNJUDGED when the gold answer cannot be read or math-verify fails."""
    try:
        wanted = [reading for reading in _read(gold) if not isinstance(reading, str)]
        if not wanted:
            return Verdict.UNJUDGED
        given = [reading for reading in _read(answer) if not isinstance(reading, str)]
        right = verify(wanted, given, allow_set_relation_comp=True, timeout_seconds=None, raise_on_error=True)
    except Exception:  # whatever a parser and a computer algebra system raise on arbitrary text
        return Verdict.UNJUDGED
    return Verdict.RIGHT if right else Verdict.WRONG


def _read(text: str) -> list[object]:
    readings: list[object] = parse(f"\\boxed{{{text}}}", _READERS, parsing_timeout=None)
    return readings


def main(seconds: float) -> None:
    """Answer questions until standard input closes."""
    logging.disable()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    judge(r"\frac{\sqrt{2}}{2}", r"\frac{1}{\sqrt{2}}")  # fills the parser's caches before any clock runs
    print("ready", flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        signal.setitimer(signal.ITIMER_PROF, seconds)
        verdict = judge(question["answer"], question["gold"])
        signal.setitimer(signal.ITIMER_PROF, 0)
        print(verdict.value, flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]))
