"""The same problem before and after training: what became of the reasoning?

A page cannot hold every completion, so both choices are by rule, not by taste.

    largest_savings   of the problems with a sample that was correct both times, those that saved the most tokens. They
                      show how far the shortening can go, not what is typical.
    drawn             the first sample of each problem, taken in turn from those that became wrong, became correct,
                      were correct both times, were wrong both times and could not be judged; within each in the order
                      of the problems' ids, which are hashes and so as good as random. Answers that changed are thus
                      shown more often than they happen.

Samples are compared one by one: both draws used the same random numbers.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest

from effreason.evaluation.completions import Judged
from effreason.records import Problem, Verdict

SHOWN = 3
"""Largest savings of each model."""
MOST_DRAWN = 40
"""Of each model, alpha and suite."""
LONGEST = 12_000
"""Characters of one text; of a longer one the middle is left out."""
CHANGES = ("became wrong", "became correct", "correct both times", "wrong both times", "not judged")


@dataclass(frozen=True, slots=True)
class Answer:
    """One completion as it is shown."""

    text: str
    tokens: int
    extracted: str | None
    verdict: Verdict
    truncated: bool


@dataclass(frozen=True, slots=True)
class Transcript:
    """One problem, answered before and after. Made here; read by the page."""

    problem: Problem
    before: Answer
    after: Answer

    @property
    def saved(self) -> int:
        return self.before.tokens - self.after.tokens

    @property
    def change(self) -> str:
        """One of `CHANGES`."""
        match self.before.verdict, self.after.verdict:
            case (Verdict.RIGHT, Verdict.WRONG):
                return "became wrong"
            case (Verdict.WRONG, Verdict.RIGHT):
                return "became correct"
            case (Verdict.RIGHT, Verdict.RIGHT):
                return "correct both times"
            case (Verdict.WRONG, Verdict.WRONG):
                return "wrong both times"
        return "not judged"


def largest_savings(problems: Mapping[str, Problem], before: Judged, after: Judged) -> list[Transcript]:
    """At most three transcripts, the largest saving first; fewer where fewer problems were correct both times."""
    rights = (each for each in _pairs(problems, before, after) if each.change == "correct both times")
    found: dict[str, Transcript] = {}
    for transcript in rights:
        found.setdefault(transcript.problem.id, transcript)
    return sorted(found.values(), key=lambda transcript: (-transcript.saved, transcript.problem.id))[:SHOWN]


def drawn(
    problems: Mapping[str, Problem], before: Judged, after: Judged, room: int, most: int = MOST_DRAWN
) -> list[Transcript]:
    """At most `most` transcripts whose texts fill at most `room` bytes."""
    firsts: dict[str, Transcript] = {}
    for transcript in _pairs(problems, before, after):
        firsts.setdefault(transcript.problem.id, transcript)
    chosen: list[Transcript] = []
    for transcript in _in_turn(list(firsts.values())):
        room -= _bytes(transcript)
        if room < 0 or len(chosen) == most:
            break
        chosen.append(transcript)
    return chosen


def shortened(text: str) -> str:
    """The text, without its middle where it is longer than a reader would scroll."""
    if len(text) <= LONGEST:
        return text
    half = LONGEST // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half:,} characters are left out here …]\n{text[-half:]}"


def _in_turn(transcripts: Sequence[Transcript]) -> Iterator[Transcript]:
    """One of each kind of change, then another of each, until none is left."""
    kinds = [[each for each in transcripts if each.change == change] for change in CHANGES]
    return (each for each in chain.from_iterable(zip_longest(*kinds)) if each is not None)


def _bytes(transcript: Transcript) -> int:
    texts = (transcript.problem.question, shortened(transcript.before.text), shortened(transcript.after.text))
    return sum(len(text.encode()) for text in texts)


def _pairs(problems: Mapping[str, Problem], before: Judged, after: Judged) -> Iterator[Transcript]:
    """Every sample that both models have of a problem, by the problem's id and then in order."""
    first, second = _rows(before), _rows(after)
    for problem_id, sample in sorted(first.keys() & second.keys()):
        if problem_id in problems:
            key = (problem_id, sample)
            yield Transcript(problems[problem_id], _answer(before, first[key]), _answer(after, second[key]))


def _rows(judged: Judged) -> dict[tuple[str, int], int]:
    """Where each sample of each problem lies; the samples of a problem lie in their order."""
    seen: Counter[str] = Counter()
    rows = {}
    for row, problem_id in enumerate(map(str, judged.problem_ids)):
        rows[problem_id, seen[problem_id]] = row
        seen[problem_id] += 1
    return rows


def _answer(judged: Judged, row: int) -> Answer:
    verdict = Verdict.RIGHT if judged.right[row] else Verdict.WRONG if judged.judged[row] else Verdict.UNJUDGED
    return Answer(
        text=judged.texts[row],
        tokens=int(judged.tokens[row]),
        extracted=judged.extracted[row],
        verdict=verdict,
        truncated=bool(judged.truncated[row]),
    )
