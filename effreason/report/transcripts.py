"""The same problem before and after training, both times answered rightly: what became of the reasoning?

The choice is by rule, not by taste: of the problems with a sample that was right both times (compared sample by
sample; both draws used the same random numbers), those with the largest savings of tokens. So they show how far the
shortening can go, not what is typical.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from effreason.evaluation.completions import Judged
from effreason.records import Problem

SHOWN = 3


@dataclass(frozen=True, slots=True)
class Answer:
    """One completion as it is shown."""

    text: str
    tokens: int
    extracted: str | None


@dataclass(frozen=True, slots=True)
class Transcript:
    """One problem, answered before and after. Made by `largest_savings`; read by the page."""

    problem: Problem
    before: Answer
    after: Answer

    @property
    def saved(self) -> int:
        return self.before.tokens - self.after.tokens


def largest_savings(problems: Mapping[str, Problem], before: Judged, after: Judged) -> list[Transcript]:
    """At most three transcripts, the largest saving first; fewer where fewer problems were right both times."""
    first, second = _right_answers(before), _right_answers(after)
    found: dict[str, Transcript] = {}
    for problem_id, sample in sorted(first.keys() & second.keys()):
        if problem_id in problems and problem_id not in found:
            key = (problem_id, sample)
            found[problem_id] = Transcript(problems[problem_id], first[key], second[key])
    return sorted(found.values(), key=lambda transcript: (-transcript.saved, transcript.problem.id))[:SHOWN]


def _right_answers(judged: Judged) -> dict[tuple[str, int], Answer]:
    """By problem and sample; the samples of a problem lie in their order."""
    seen: Counter[str] = Counter()
    answers = {}
    for row, problem_id in enumerate(map(str, judged.problem_ids)):
        if judged.right[row]:
            answer = Answer(judged.texts[row], int(judged.tokens[row]), judged.extracted[row])
            answers[problem_id, seen[problem_id]] = answer
        seen[problem_id] += 1
    return answers
