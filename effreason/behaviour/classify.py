"""Counts the behaviours of a text by lexicon and structure; needs no model and no knowledge of the answer.

1. A sentence that was said before is repetition, unless computing again explains it, and shows nothing else.
2. The cues of the lexicon are sought in what is left, save in words of the question. Cues of one behaviour that lie
   close together ("Wait, let me check: hmm, is this right?") are one instance.
3. Structure adds what no word says: a step computed again with another result, right after a word of doubt, is
   backtracking; two or more steps in a row computed again with the same results, unannounced, are verification; so
   many numbered methods or cases are one alternative fewer.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from effreason.behaviour.kinds import Behaviours, Kind
from effreason.behaviour.lexicon import CUES, NUMBERED, Cue
from effreason.behaviour.structure import SENTENCE_WORDS, Computation, Passage, loops, passage, run_again, runs

CLOSE = 25
"""The most characters between two cues of one instance."""
DOUBTED = 80
"""The most characters between a computation and its correction."""
QUOTED = 12
"""The least characters by which a sentence of the question is recognised."""

_DOUBT = re.compile(r"\b(?:wait|hmm|no|redo|check|wrong|sorry|oops|actually)\b")
_NUMBER = re.compile(r"\d")


class Span(NamedTuple):
    start: int
    end: int


Found = dict[Kind, list[Span]]

REASONS: tuple[Kind, ...] = ("verification", "backtracking", "exploration")
"""The behaviours that give a reason to compute something again."""


def observe(text: str, question: str | None = None) -> Behaviours:
    """Return the counts of one completion; what it quotes of the `question` is not counted."""
    read = passage(text)
    spans = _cued(_without(read.text, question))
    again = _said_again(read, spans)
    spans = {
        kind: [span for span in found if read.sentence_at(span.start) not in again] for kind, found in spans.items()
    }
    spans["backtracking"] += _changed(read)
    spans["verification"] += _computed_again(read, spans, again)
    numbered = _numbered(read, again)
    return Behaviours(
        verification=_instances(read, spans["verification"]),
        backtracking=_instances(read, spans["backtracking"]),
        exploration=_instances(read, spans["exploration"]) + numbered,
        subgoals=_instances(read, spans["subgoals"]),
        repetition=len(again) + sum(loops(words) for i, words in enumerate(read.said) if i not in again),
    )


def _without(text: str, question: str | None) -> str:
    """Return the text with spaces in place of what is quoted of the question."""
    for quoted in passage(question).sentences if question else ():
        if len(quoted) >= QUOTED:
            text = text.replace(quoted, " " * len(quoted))
    return text


def _cued(text: str) -> Found:
    return {
        kind: [span for cue in cues if cue.stem in text for span in _hits(cue, text)] for kind, cues in CUES.items()
    }


def _hits(cue: Cue, text: str) -> Iterator[Span]:
    """Yield the matches of a cue, searching only sentences with its stem."""
    at = text.find(cue.stem)
    while at >= 0:
        start, end = text.rfind("\n", 0, at) + 1, text.find("\n", at)
        end = len(text) if end < 0 else end
        yield from (Span(*hit.span()) for hit in cue.pattern.finditer(text, start, end))
        at = text.find(cue.stem, end)


def _instances(read: Passage, spans: Sequence[Span]) -> int:
    """Count the spans; those that lie close together, with no number between them, count once."""
    count, end = 0, -CLOSE - 1
    for span in sorted(spans):
        count += span.start - end > CLOSE or _NUMBER.search(read.text, end, span.start) is not None
        end = max(end, span.end)
    return count


# -------------------------------------------------------------------------------------------- what is said again


def _said_again(read: Passage, spans: Found) -> set[int]:
    """Return the sentences said before, whole or in a long run of words, with no recomputation to explain it."""
    again: set[int] = set()
    last: dict[tuple[str, ...], int] = {}
    known: set[tuple[str, ...]] = set()
    marked = {read.sentence_at(span.start) for kind in REASONS[:2] for span in spans[kind]}
    marked |= {read.sentence_at(found.start()) for found in NUMBERED.finditer(read.text)}
    computing = {read.sentence_at(each.start) for each in read.computations}
    for place, words in enumerate(read.said):
        before = last.get(words) if len(words) >= SENTENCE_WORDS else None
        reasons = marked if place in computing else computing
        explained = before is not None and not reasons.isdisjoint(range(before + 1, place + 1))
        in_part = run_again(words, known) or _cut_short(read, place)
        if (before is not None or in_part) and not explained:
            again.add(place)
        last[words] = place
        known.update(runs(words))
    return again


def _cut_short(read: Passage, place: int) -> bool:
    """Return whether the last sentence, broken off, begins as an earlier one does."""
    sentence = read.sentences[place]
    if place != len(read.sentences) - 1 or not place or sentence.endswith((".", "!", "?")):
        return False
    return len(sentence.split()) >= SENTENCE_WORDS and any(
        each.startswith(sentence) and each != sentence for each in read.sentences[:place]
    )


# ------------------------------------------------------------------------------------------ what is computed again


def _changed(read: Passage) -> Iterator[Span]:
    """Yield doubts between two computations of one left side whose results differ."""
    for one, two in pairwise(read.computations):
        doubted = _DOUBT.search(read.text, one.end, two.start)
        if doubted and one.left == two.left and one.right != two.right and two.start - one.end < DOUBTED:
            yield Span(*doubted.span())


def _computed_again(read: Passage, spans: Found, again: set[int]) -> Iterator[Span]:
    """Yield places where two or more steps in a row are computed as before and in order, unannounced by a cue."""
    last: dict[tuple[str, str], int] = {}
    before: int | None = None
    length = 0
    for place, step in enumerate(read.computations):
        known = last.get((step.left, step.right)) if read.sentence_at(step.start) not in again else None
        goes_on = known is not None and before is not None and known == before + 1 and known < place - length
        length = length + 1 if goes_on else int(known is not None)
        if length == 2 and not _announced(read, spans, read.computations[place - 1]):
            yield Span(step.start, step.start)
        before = known
        last[step.left, step.right] = place


def _announced(read: Passage, spans: Found, step: Computation) -> bool:
    """Return whether a cue in its sentence, or in the one before, gives the reason; it may be another behaviour's."""
    since = read.starts[max(0, read.sentence_at(step.start) - 1)]
    numbered = NUMBERED.search(read.text, since, step.start) is not None
    return numbered or any(since <= span.start <= step.start for kind in REASONS for span in spans[kind])


def _numbered(read: Passage, again: set[int]) -> int:
    """Count the alternatives beyond the first, of each kind that has numbers."""
    seen: dict[str, set[str]] = {}
    for found in NUMBERED.finditer(read.text):
        if read.sentence_at(found.start()) not in again:
            seen.setdefault(found[1], set()).add(found[2])
    return sum(len(numbers) - 1 for numbers in seen.values())
