"""Where in a completion the answer stands.

A text may hold several candidates. These win, in this order, and within each kind the last one wins:

1. `\\boxed{...}` or `\\fbox{...}` with balanced braces. A box that never closes is none. Boxes joined by nothing but
   a comma or an `and` are one answer, as in `\\boxed{3}` and `\\boxed{5}`.
2. `#### answer`, as GSM8K writes it. A heading in Markdown looks the same, so what follows must be a number or
   stand on the last line.
3. "the answer is ...", "Answer: ...": to the end of the clause.
4. A text that is nothing but a number; or else the last formula or number of the last 2,000 characters, whichever
   stands later.

Where a reasoning model has closed its thought with `</think>` and written a reply, only the reply is read.
"""

import re
from collections.abc import Iterator
from itertools import islice

from effreason.grading.numbers import number
from effreason.grading.spelling import bare

LONGEST = 1_000
"""The most characters of an answer; what is longer is a text."""

_READ = 200_000
"""The number of characters from the end in which marks are searched."""
_TAIL = 2_000
"""The number of characters from the end in which an answer without a mark is searched."""
_TRIES = 100
"""The number of boxes and hashes tried, from the end; bounds the time that a text full of broken ones takes."""

_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
_JOINT = re.compile(r"[\s,;$]*(?:(?:and|or|\\text\s*\{\s*(?:and|or)\s*\}|\\quad|\\\(|\\\))[\s,;$]*)*")
_BRACES = re.compile(r"\\[{}\\]|[{}]")
_NUMERAL = r"[-+−–]?[ ]?[$€£¥]?[ ]?(?:[0-9]+(?:[.,][0-9]+)*|\.[0-9]+)"
_MARKED = re.compile(rf"\s*(?:\\?\$\s*)?{_NUMERAL}(?:\s*/\s*[0-9]+)?\s*(?:\\?[$%]|[^\W\d]+)?[\s.*$]*", re.ASCII)
_SAYING = re.compile(
    r"\banswers?\b[^.:=\n]{0,60}?(?:\s(?:is|are|was|be|becomes|equals)\b|=)\s*:?"
    r"(?!\s*(?:(?:in)?correct|right|wrong|not|clear|obvious|reasonable|consistent|verified|confirmed|given|in)\b)"
    r"|(?:^|(?<=[.!?\n]))[^\w\n]{0,8}(?:the\s+)?(?:final\s+|correct\s+)?answer\W{0,3}:",
    re.IGNORECASE,
)
_HEADING = re.compile(r"(?:^|\n)[#*\s]*final answer[:*\s]*\n", re.IGNORECASE)
_CLAUSE_END = re.compile(r"\n|[.!?](?=\s|$)|;\s|,?\s(?:because|since|as|so|which|where|when|but|I hope)\s")
_FORMULA = re.compile(
    r"\$\$(?P<display>.{1,1000}?)\$\$"
    r"|\\\[(?P<bracket>.{1,1000}?)\\\]"
    r"|\\\((?P<parenthesis>.{1,1000}?)\\\)"
    r"|(?<![\\\d])\$(?P<inline>(?:\\\$|[^$\n]){1,1000}?)(?<!\\)\$(?!\d)",
    re.DOTALL,
)
_PROSE = re.compile(r"(?<![\\a-z])[a-z]{2,}(?![a-z]|\()", re.IGNORECASE)
_WORDING = re.compile(
    r"\\(?:[a-z]*text[a-z]*|mbox|math[a-z]+|operatorname|boxed|begin|end)\s*\{[^{}]*\}", re.IGNORECASE
)
_VERB = re.compile(r"\s(?:is|are|equals)\s+(?:equal to\s+)?")
_PERCENT = re.compile(r"\s*(?:\\?%|percent\b|pct\b)")
_NUMBER = re.compile(
    r"(?<![\w.,\\^])(?:(?<![\w)\]}])[-+−–])?[$€£¥]?[-−–]?"
    r"(?:(?:[0-9]+\s?)?\\[dtc]?frac\s?(?:[0-9]|\{[0-9.]+\})\s?(?:[0-9]|\{[0-9.]+\})"
    r"|[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])(?:\.[0-9]+)?|[0-9]+(?:[.,][0-9]+)?|\.[0-9]+)"
    r"(?:\s?/\s?[0-9]+(?![0-9/]))?(?:\s?\\?%|\s(?:percent|pct)\b)?"
)


def answer_in(text: str) -> str | None:
    """Return the answer as it is written in `text`, without its mark; None where there is none."""
    reply = text.rpartition("</think>")[2]
    text = (reply if reply.strip() else text)[-_READ:]
    for find in (_boxed, _after_hashes, _said, _whole, _last_formula_or_number):
        if found := find(text):
            return found
    return None


def _boxed(text: str) -> str | None:
    """Return the last closed box, and those joined to it."""
    joined: list[str] = []
    start = len(text)
    for opening, content, end in islice(_boxes_from_the_end(text), _TRIES):
        if joined and not _JOINT.fullmatch(text, end, start):
            break
        joined.insert(0, content)
        start = opening
    return ", ".join(dict.fromkeys(part for part in joined if part)) or None


def _boxes_from_the_end(text: str) -> Iterator[tuple[int, str, int]]:
    """Yield the start, the content and the end of each box. Boxes within boxes are skipped with the outer one."""
    outer: tuple[int, str, int] | None = None
    for start in islice(_places_from_the_end(text, "\\boxed", "\\fbox"), _TRIES):
        box = _closed_box(text, start)
        if box is None:
            continue
        if outer is not None and box[2] <= outer[0]:
            yield outer
        elif outer is not None and box[2] < outer[2]:
            continue
        outer = box
    if outer is not None:
        yield outer


def _closed_box(text: str, start: int) -> tuple[int, str, int] | None:
    opening = _BOX.match(text, start)
    if opening is None:
        return None
    depth = 1
    for brace in _BRACES.finditer(text, opening.end(), opening.end() + LONGEST):
        depth += {"{": 1, "}": -1}.get(brace[0], 0)
        if depth == 0:
            return start, text[opening.end() : brace.start()].strip(), brace.end()
    return None


def _after_hashes(text: str) -> str | None:
    length = len(text.rstrip())
    for place in islice(_places_from_the_end(text, "####"), _TRIES):
        line = text[place + 4 : place + 4 + LONGEST].partition("\n")[0]
        last = place + 4 + len(line) >= length
        if (answer := _trimmed(line)) and (last or _MARKED.fullmatch(line) or _FORMULA.fullmatch(answer)):
            return answer
    return None


def _places_from_the_end(text: str, *marks: str) -> Iterator[int]:
    place = len(text)
    while (place := max(text.rfind(mark, 0, place) for mark in marks)) >= 0:
        yield place


def _said(text: str) -> str | None:
    """Return what is stated as the answer: a formula (or several joined) at its beginning, or the clause."""
    for saying in reversed([*_sayings(text)]):
        rest = text[saying : saying + LONGEST].lstrip(" \t*:_\n=")
        if formula := _leading_formulas(rest):
            return formula
        end = _CLAUSE_END.search(rest)
        clause = _trimmed(rest[: end.start()] if end else rest)
        if answer := _VERB.split(clause)[-1].strip():
            return answer
    return None


def _sayings(text: str) -> Iterator[int]:
    """Yield the positions at which an answer statement begins."""
    if "nswer" not in text and "NSWER" not in text:
        return
    ends = {match.end() for pattern in (_SAYING, _HEADING) for match in pattern.finditer(text)}
    yield from sorted(ends)


def _leading_formulas(rest: str) -> str | None:
    first = _FORMULA.match(rest)
    if first is None or _is_prose(first):
        return None
    parts, end = [_inside(first)], first.end()
    while (joint := _JOINT.match(rest, end)) and (formula := _FORMULA.match(rest, joint.end())):
        parts.append(_inside(formula))
        end = formula.end()
    return ", ".join(parts) + (r"\%" if _PERCENT.match(rest, end) else "")


def _whole(text: str) -> str | None:
    """Return the text if it is nothing but a number with its unit, else None."""
    return text.strip() if len(text) <= LONGEST and number(bare(text)) is not None else None


def _last_formula_or_number(text: str) -> str | None:
    tail = text[-_TAIL:]
    found: tuple[int, str] | None = None
    for formula in _FORMULA.finditer(tail):
        if not _is_prose(formula):
            found = formula.end(), _inside(formula)
    for numeral in _NUMBER.finditer(tail, found[0] if found else 0):
        found = numeral.end(), numeral[0]
    return found[1] if found else None


def _is_prose(formula: re.Match[str]) -> bool:
    """Return whether two dollar signs are sums of money with words between them, not a formula."""
    inside = _inside(formula)
    return formula.lastgroup == "inline" and inside[:1].isdigit() and bool(_PROSE.search(_WORDING.sub("", inside)))


def _inside(formula: re.Match[str]) -> str:
    return formula[formula.lastgroup or 0].strip()


def _trimmed(text: str) -> str:
    """Return the text without Markdown's stars and the full stop."""
    return text.strip().strip("*_`").strip().rstrip(".,;:!").rstrip("*_ ")
