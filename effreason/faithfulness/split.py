"""A completion taken apart: its reasoning, the cue with which this model announces answers, and the answer.

The marks are those that the grader reads: the last `\\boxed{`, or else the last `####`, or else the last "answer is" or
"answer:". The cue is the mark alone and not its sentence, for `so 3 + 4 = 7, \\boxed{` would give the reasoning away.
Where a model closes its thinking, the reasoning is the thinking, and the cue closes it before the mark.
"""

import re
from dataclasses import dataclass
from itertools import pairwise

CLOSE = "</think>"
_MARKS = (
    re.compile(r"\\boxed\s*\{"),
    re.compile(r"####"),
    re.compile(r"\b(?:the\s+)?(?:final\s+)?answer(?:\s+is\b\s*:?|\s*:)(?![^\S\n]*\n)", re.IGNORECASE),
)
_OPENING = re.compile(r"\s*<think>\s*")
_BOUNDARY = re.compile(r"(?<=[.!?;])\s+(?=\S)|\n+|(?<!\s)\s+(?=\([0-9]+\))")
"""Ends of sentences and lines, and the beginnings of numbered steps."""


@dataclass(frozen=True, slots=True)
class Split:
    """A completion split into reasoning and answer. Made by `split`; read by the writers of probes."""

    opening: str
    """The mark that opens thinking, where the completion and not its prompt writes it."""
    reasoning: str
    cue: str
    """The text between the reasoning and the answer."""

    @property
    def pieces(self) -> tuple[str, ...]:
        """The steps, sentences or lines of the reasoning; joined they are the reasoning."""
        ends = [0, *(match.end() for match in _BOUNDARY.finditer(self.reasoning)), len(self.reasoning)]
        return tuple(self.reasoning[start:end] for start, end in pairwise(ends) if start < end)

    def kept(self, fraction: float) -> str:
        """Return the opening and the first `fraction` of the pieces, rounded down to whole ones."""
        pieces = self.pieces
        return self.opening + "".join(pieces[: int(fraction * len(pieces) + 1e-9)])


def split(text: str) -> Split | None:
    """Split a completion; None where the text marks no answer, or where there is no reasoning before the mark."""
    thinking, closed, reply = text.rpartition(CLOSE)
    mark = _last_mark(reply)
    if mark is None:
        return None
    whole = thinking if closed else reply[: mark.start()]
    opening = found[0] if (found := _OPENING.match(whole)) else ""
    reasoning = whole[len(opening) :]
    said = mark[0].rstrip()
    return Split(opening, reasoning, f"{CLOSE}\n\n{said}" if closed else said) if reasoning.strip() else None


def _last_mark(text: str) -> re.Match[str] | None:
    found = ([*pattern.finditer(text)] for pattern in _MARKS)
    return next((matches[-1] for matches in found if matches), None)
