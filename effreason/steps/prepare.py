"""The first step: the problems to train on, to choose alpha on, and to measure on.

Only problems whose own gold answer the grader accepts enter. They are tried in the order of the draw until there are
enough, so that what was dropped as not gradable lists those that would have been drawn.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from effreason.artifacts import Problems
from effreason.errors import UserError
from effreason.grading import shared
from effreason.problems.files import TRAIN, VALIDATION, write_dropped, write_part
from effreason.problems.sources import load
from effreason.problems.splits import NOT_GRADABLE, Dropped, apart, by_validation_hash, distinct, shuffled
from effreason.progress import Progress
from effreason.records import Problem
from effreason.specs import PrepareSpec, Suite
from effreason.workbench import Workbench

BATCH = 500
"""Problems whose gold answers are tried at once."""


class Drawn(NamedTuple):
    """The problems of a part, and those that were left out of it."""

    problems: list[Problem]
    dropped: list[Dropped]


def make(spec: PrepareSpec, bench: Workbench) -> Problems:
    """Write every part and what was dropped into the bench's output.

    Raises `UserError` when a source is unfit or a part would be empty, `StepFailure` when the hub cannot be reached.
    """
    parts: dict[str, Drawn] = {}
    measured: set[str] = set()
    for suite in spec.suites:
        parts[suite.name], asked = _suite(suite, spec.seed)
        measured |= asked
        bench.tell(Progress(phase="load", done=len(parts), total=len(spec.suites) + 1))
    trains = spec.train_problems + spec.validation_problems > 0
    parts[VALIDATION], parts[TRAIN] = _training(spec, measured) if trains else (Drawn([], []), Drawn([], []))
    bench.tell(Progress(phase="load", done=len(spec.suites) + 1, total=len(spec.suites) + 1))
    for name, part in parts.items():
        write_part(bench.output, name, part.problems)
    dropped = [drop for part in parts.values() for drop in part.dropped]
    write_dropped(bench.output, dropped)
    return Problems(
        address=spec.address,
        train=len(parts[TRAIN].problems),
        validation=len(parts[VALIDATION].problems),
        suites={suite.name: len(parts[suite.name].problems) for suite in spec.suites},
        dropped=dict(Counter(drop.reason for drop in dropped)),
    )


def _suite(suite: Suite, seed: int) -> tuple[Drawn, set[str]]:
    """Return the draw, and the ids of all problems of the suite's source, drawn or not: none may be trained on."""
    problems, repeated = distinct(load(suite.source, "test", suite.problems, seed), suite.name)
    drawn = _draw(shuffled(problems, seed), suite.problems, suite.name)
    if not drawn.problems:
        raise UserError(f"The suite {suite.name} has no problems.", "Give it a source with more test problems.")
    return Drawn(drawn.problems, repeated + drawn.dropped), {problem.id for problem in problems}


def _training(spec: PrepareSpec, measured: set[str]) -> tuple[Drawn, Drawn]:
    """Return the validation part and the training part."""
    wanted = spec.train_problems + spec.validation_problems
    problems, repeated = distinct(load(spec.source, "train", wanted, spec.seed), TRAIN)
    problems, shared_with_suites = apart(problems, measured, TRAIN)
    validation = _draw(by_validation_hash(problems), spec.validation_problems, VALIDATION)
    taken = {problem.id for problem in validation.problems} | {drop.problem.id for drop in validation.dropped}
    rest = [problem for problem in problems if problem.id not in taken]
    train = _draw(shuffled(rest, spec.seed), spec.train_problems, TRAIN)
    if not train.problems:
        raise UserError(
            f"None of {len(problems)} problems is left to train on after {len(validation.problems)} for validation.",
            "Lower validation_problems, or give a larger source.",
        )
    return validation, Drawn(train.problems, repeated + shared_with_suites + train.dropped)


def _draw(problems: Sequence[Problem], wanted: int, part: str) -> Drawn:
    """Return the first `wanted` gradable problems, and the others that came before them."""
    drawn, dropped, tried = list[Problem](), list[Dropped](), 0
    while len(drawn) < wanted and tried < len(problems):
        batch = problems[tried : tried + min(BATCH, wanted - len(drawn))]
        accepted = shared().accepted([problem.answer for problem in batch])
        drawn += [problem for problem, ok in zip(batch, accepted, strict=True) if ok]
        dropped += [Dropped(part, NOT_GRADABLE, problem) for problem, ok in zip(batch, accepted, strict=True) if not ok]
        tried += len(batch)
    return Drawn(drawn, dropped)
