"""What a text looks like, whatever its words mean: sentences, computations, and what is said again."""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

_SENTENCE_END = re.compile(r"(?<=[\w)\]}%\"'*$!?][.!?]) +(?=\S)")
_LIST_NUMBER = re.compile(r"\W*\d+\.")
_LABEL = re.compile(
    r"^(?:\W*(?:step )?\d+[.:)]+)*\W*(?:(?:so|and|but|therefore|thus|hence|then|now|however|since|because),? )*"
)
_WORD = re.compile(r"[a-z']+|\d+(?:\.\d+)?")
_NUMBER = r"\d+(?:[.,]\d+)*"
_COMPUTATION = re.compile(rf"({_NUMBER}(?: ?[-+*/×x·÷^−] ?{_NUMBER})+) ?(?:=|is|equals) ?\$?(-?{_NUMBER})")

SENTENCE_WORDS = 4
"""The least words of a sentence that counts as repeated: `Good.` or `yes, same` may come again."""
RUN_WORDS = 11
"""A run of this many words without a number does not recur by chance, unless it opens with an article: a thing may
have a long name, and steps differ in their numbers."""
_ARTICLES = frozenset({"the", "a", "an"})
LOOP_TURNS = 3
"""The least number of times in succession that a phrase makes a loop."""
LOOP_WORDS = 6
LOOP_NUMBERS = 8
"""Shortest loop of words, and of numbers alone: six friends need 2 + 2 + 2 + 2 + 2 + 2 slices."""
LEAST_EQUAL = 4
"""The least number of repeated words in the shortest loop."""
_LOOP = re.compile(rf"(.{{1,12}}?)\1{{{LOOP_TURNS - 1},}}", re.DOTALL)


class Computation(NamedTuple):
    """An equation such as `12 + 7 = 19`, at its place in the passage."""

    left: str
    """The left side without spaces."""
    right: str
    start: int
    end: int


@dataclass(frozen=True)
class Passage:
    """A text in lower case with one sentence per line. Made by `passage`; read by `classify`."""

    text: str

    @cached_property
    def starts(self) -> list[int]:
        """The positions at which the sentences begin."""
        return [0, *(i + 1 for i, letter in enumerate(self.text) if letter == "\n")]

    @cached_property
    def sentences(self) -> list[str]:
        return self.text.split("\n")

    def sentence_at(self, place: int) -> int:
        """Return the number of the sentence that the letter at `place` belongs to."""
        return bisect_right(self.starts, place) - 1

    @cached_property
    def said(self) -> list[tuple[str, ...]]:
        """The words of each sentence, ready to be compared."""
        return [words_of(sentence) for sentence in self.sentences]

    @cached_property
    def computations(self) -> list[Computation]:
        if "=" not in self.text and " is " not in self.text and "equals" not in self.text:
            return []
        return [
            Computation(found[1].replace(" ", ""), found[2], found.start(), found.end())
            for found in _COMPUTATION.finditer(self.text)
        ]


def passage(text: str) -> Passage:
    """Split a text into sentences; a number that opens a line of a list stays with it."""
    lines = text.lower().replace("’", "'").splitlines()
    return Passage("\n".join(sentence for line in lines for sentence in _sentences(line.strip())))


def _sentences(line: str) -> Iterator[str]:
    opening = ""
    for piece in _SENTENCE_END.split(line):
        if _LIST_NUMBER.fullmatch(piece):
            opening += piece + " "
        elif piece:
            yield opening + piece
            opening = ""
    if opening:
        yield opening.rstrip()


def words_of(sentence: str) -> tuple[str, ...]:
    """Return the words of a sentence, less the number of a step and words such as `so` and `therefore` in front."""
    return tuple(_WORD.findall(_LABEL.sub("", sentence)))


def runs(words: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Return all sequences of `RUN_WORDS` words, in order."""
    return [words[start : start + RUN_WORDS] for start in range(len(words) - RUN_WORDS + 1)]


def run_again(words: tuple[str, ...], known: set[tuple[str, ...]]) -> bool:
    """Return whether a run of the `known` comes again; if it begins before it is cut, the beginning decides."""
    inside = False
    for run in runs(words):
        if run in known and not inside and run[0] not in _ARTICLES and all(word[0].isalpha() for word in run):
            return True
        inside = run in known
    return False


def loops(words: tuple[str, ...]) -> int:
    """Return how often a phrase of up to twelve words comes again in immediate succession; 0 below three turns."""
    if len(words) - len(set(words)) < LEAST_EQUAL:
        return 0
    letters: dict[str, str] = {}
    coded = "".join(letters.setdefault(word, chr(0x4E00 + len(letters))) for word in words)
    names = {letter: word for word, letter in letters.items()}
    turns = 0
    for found in _LOOP.finditer(coded):
        spoken = any(names[letter][0].isalpha() for letter in found[1])
        if len(found[0]) >= (LOOP_WORDS if spoken else LOOP_NUMBERS):
            turns += len(found[0]) // len(found[1]) - 1
    return turns
