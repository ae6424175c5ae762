"""Which problems are trained on, chosen on and measured on.

Every decision hangs on the hash of the question, so that it is the same whatever the order of the files, and a question
is on one side only. Where a source has no official split, a share of its questions is for testing. Validation is carved
from training by a hash of its own. A draw is the first of an order that the seed gives.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from effreason.records import Problem


class Dropped(NamedTuple):
    """A problem that was left out. One line of dropped.jsonl."""

    part: str
    """`train`, or the name of the suite."""
    reason: str
    problem: Problem


DUPLICATE = "duplicate"
CONFLICT = "two different answers"
IN_A_SUITE = "also in a suite"
NOT_GRADABLE = "gold answer not gradable"


def problem_id(question: str) -> str:
    """Return the id of every problem with this question, whatever its white space."""
    return hashlib.sha256(" ".join(question.split()).encode()).hexdigest()[:16]


def for_testing(id: str, share: float) -> bool:
    """Return whether a problem belongs to the tested share, between 0 and 1, of a source without official splits."""
    return _place(id, "test") < share


def shuffled(problems: Iterable[Problem], seed: int) -> list[Problem]:
    """Return the problems in the order of the seed, whatever order they came in."""
    return sorted(problems, key=lambda problem: (_place(problem.id, f"draw {seed}"), problem.id))


def by_validation_hash(problems: Iterable[Problem]) -> list[Problem]:
    """Return the problems in the order in which they are kept for validation: the same for every seed."""
    return sorted(problems, key=lambda problem: (_place(problem.id, "validation"), problem.id))


def distinct(problems: Iterable[Problem], part: str) -> tuple[list[Problem], list[Dropped]]:
    """Return each question once, and what was dropped; a question with two different answers is dropped altogether."""
    alike: dict[str, list[Problem]] = defaultdict(list)
    for problem in problems:
        alike[problem.id].append(problem)
    kept: list[Problem] = []
    dropped: list[Dropped] = []
    for group in alike.values():
        if len({problem.answer for problem in group}) > 1:
            dropped += [Dropped(part, CONFLICT, problem) for problem in group]
            continue
        first, *others = sorted(group, key=lambda problem: (problem.question, problem.difficulty or 0.0))
        kept.append(first)
        dropped += [Dropped(part, DUPLICATE, problem) for problem in others]
    return kept, dropped


def apart(problems: Sequence[Problem], measured: set[str], part: str) -> tuple[list[Problem], list[Dropped]]:
    """Return the problems whose ids are not measured on, and the others."""
    kept = [problem for problem in problems if problem.id not in measured]
    return kept, [Dropped(part, IN_A_SUITE, problem) for problem in problems if problem.id in measured]


def _place(id: str, purpose: str) -> float:
    """Return a number in [0, 1) that is different for every purpose."""
    return int.from_bytes(hashlib.sha256(f"{purpose} {id}".encode()).digest()[:8]) / 2**64
