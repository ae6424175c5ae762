"""All transcripts of the page as one block of text that page.js unpacks: JSON, compressed, in base 64.

A text that several transcripts share, such as that of the base model, is in it once.
"""

import base64
import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from effreason.report.sheets import Line
from effreason.report.transcripts import Answer, Transcript, shortened

Held = TypeVar("Held")


class Group(NamedTuple):
    """The transcripts of one model, alpha and suite. Made by the sweep."""

    model: str
    suite: str
    before: str
    """What the model was before."""
    after: str
    transcripts: Sequence[Transcript]
    problems: int
    """That they were drawn from."""


def bundle(groups: Sequence[Group]) -> str:
    """`{groups, problems, texts, pairs}`: see `Bundle`."""
    found = Bundle()
    for number, group in enumerate(groups):
        for transcript in group.transcripts:
            found.add(number, transcript)
    content = {
        "groups": [[group.model, group.suite, group.before, group.after] for group in groups],
        "problems": list(found.problems),
        "texts": list(found.texts),
        "pairs": found.pairs,
    }
    packed = gzip.compress(json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode(), mtime=0)
    return base64.b64encode(packed).decode()


def lines(groups: Sequence[Group]) -> list[Line]:
    """As CSV: a line a transcript, with the whole of both texts."""
    return [_line(group, transcript) for group in groups for transcript in group.transcripts]


@dataclass
class Bundle:
    """Texts and problems by the place at which they were first met."""

    texts: dict[str, int] = field(default_factory=dict)
    problems: dict[tuple[str, str, str], int] = field(default_factory=dict)
    """Id, question and right answer."""
    pairs: list[tuple[object, ...]] = field(default_factory=list)
    """Group, problem, kind of change, and both answers: place of the text, tokens, extracted answer, cut off or not."""

    def add(self, group: int, transcript: Transcript) -> None:
        problem = transcript.problem
        self.pairs.append(
            (
                group,
                _place(self.problems, (problem.id, problem.question, problem.answer)),
                transcript.change,
                self._answer(transcript.before),
                self._answer(transcript.after),
            )
        )

    def _answer(self, answer: Answer) -> tuple[object, ...]:
        return _place(self.texts, shortened(answer.text)), answer.tokens, answer.extracted, answer.truncated


def _place(known: dict[Held, int], thing: Held) -> int:
    return known.setdefault(thing, len(known))


def _line(group: Group, transcript: Transcript) -> Line:
    sides = {"before": transcript.before, "after": transcript.after}
    return {
        "model": group.model,
        "suite": group.suite,
        "before": group.before,
        "after": group.after,
        "problem_id": transcript.problem.id,
        "question": transcript.problem.question,
        "right_answer": transcript.problem.answer,
        "change": transcript.change,
        **{f"{side}_tokens": answer.tokens for side, answer in sides.items()},
        **{f"{side}_verdict": answer.verdict.value for side, answer in sides.items()},
        **{f"{side}_extracted": answer.extracted for side, answer in sides.items()},
        **{f"{side}_text": answer.text for side, answer in sides.items()},
    }
