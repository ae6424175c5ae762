"""Verdicts that need no computer algebra: numbers, words and choices, in microseconds. The rest is left undecided."""

import re
from fractions import Fraction

from effreason.grading.numbers import LONGEST, Number, number, numbers_said, same
from effreason.grading.spelling import bare
from effreason.records import Verdict

_CHOICE = re.compile(r"\(?([A-J])\)?")
_CHOSEN = re.compile(r"\(([A-Z])\).*|([A-Z])(?:[).:].*)?", re.DOTALL)
_DECIMAL_COMMA = re.compile(r"(-?[0-9]+),([0-9]+)")
_LITERAL = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{1,2}:0[0-9](?: ?[ap]\.?m)?", re.IGNORECASE)
"""A date or a time of day, which would otherwise be read as a difference or a ratio."""
_IN_BASE = re.compile(r"([0-9A-Za-z]+)_\{? ?([0-9]{1,2}) ?\}?")
_FORMULA = re.compile(r"[\\^_=<>+*/|{}()\[\]0-9]")
_WORDS = frozenset({"yes", "no", "odd", "even", "true", "false"})


def decide(answer: str, gold: str) -> Verdict | None:
    """Return RIGHT or WRONG where that is plain, None where it takes computer algebra."""
    answer, gold = bare(answer), bare(gold)
    if answer == gold:
        return Verdict.RIGHT
    if (wanted := number(gold)) is not None:
        return _decide_number(answer, wanted)
    if _CHOICE.fullmatch(gold):
        return _verdict(_chosen(answer) == _chosen(gold))
    if based := _IN_BASE.fullmatch(gold):
        return _decide_in_base(answer, *based.groups())
    return _decide_text(answer, gold) if _is_text(gold) else None


def is_plain(gold: str) -> bool:
    """Return whether the verdict on every answer is decided here, or at least the one on this gold answer itself."""
    gold = bare(gold)
    patterns = (_CHOICE, _IN_BASE)
    return number(gold) is not None or _is_text(gold) or any(pattern.fullmatch(gold) for pattern in patterns)


def _is_text(gold: str) -> bool:
    """Return whether a bare gold answer is words rather than mathematics."""
    if gold.lower() in _WORDS or _LITERAL.fullmatch(gold):
        return True
    return not _FORMULA.search(gold) and re.search(r"[^\W\d_]{4}", gold) is not None


def _decide_number(answer: str, wanted: Number) -> Verdict | None:
    given = numbers_said(answer)
    if wanted.decimal and (comma := _DECIMAL_COMMA.fullmatch(answer)):
        given.append(Number(Fraction(f"{comma[1]}.{comma[2]}"), percent=False, decimal=True))
    if given:
        return _verdict(any(same(reading, wanted) for reading in given))
    return Verdict.WRONG if len(answer) > LONGEST or not re.search(r"[0-9\\]", answer) else None


def _decide_in_base(answer: str, digits: str, base: str) -> Verdict:
    """Judge an answer in a number base, which may be omitted, since the question names it."""
    based = _IN_BASE.fullmatch(answer)
    return _verdict(based.groups() == (digits, base) if based else answer == digits)


def _decide_text(answer: str, gold: str) -> Verdict:
    return _verdict(answer.casefold().strip("'\" ") == gold.casefold().strip("'\" "))


def _chosen(answer: str) -> str | None:
    choice = _CHOSEN.fullmatch(answer)
    return (choice[1] or choice[2]) if choice else None


def _verdict(right: bool) -> Verdict:
    return Verdict.RIGHT if right else Verdict.WRONG
