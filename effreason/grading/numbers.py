"""Plain numbers as people and models write them, read exactly.

Signs, thousands separators, decimals, fractions, mixed numbers, powers of ten, "million", percent signs and units are
read; algebra is not, and `5 sqrt 2` or `5x` is no number.
"""

import re
from fractions import Fraction
from typing import NamedTuple

LONGEST = 300
"""The most characters of a plain number."""

_DIGITS = r"(?:[0-9]{1,3}(?:(?:,[0-9]{3})+|(?: [0-9]{3})+)(?![0-9])|[0-9]+)"
_NUMBER = re.compile(
    rf"(?P<sign>[-+]?)\s*(?:"
    rf"(?:(?P<whole>[0-9]+)\s+)?(?P<top>{_DIGITS})\s*/\s*(?P<bottom>{_DIGITS})(?![0-9.])"
    rf"|(?P<decimal>{_DIGITS}?\.[0-9]+(?:[eE][-+]?[0-9]{{1,2}}(?![0-9]))?)"
    rf"|(?P<integer>{_DIGITS})(?![0-9.])"
    rf")"
)
_LATEX_FRACTION = re.compile(r"\\frac\s*(?:\{\s*(-?[0-9]+)\s*\}|([0-9]))\s*(?:\{\s*([0-9]+)\s*\}|([0-9]))")
_POWER_OF_TEN = re.compile(
    r"\s*(?:\\times|\\cdot|[x*])\s*10\s*\^\s*(?:\{\s*([-+]?[0-9]{1,2})\s*\}|([-+]?[0-9]{1,2}))(?![0-9])"
)
_MAGNITUDE = re.compile(r"\s*(thousand|million|billion|trillion)\b", re.IGNORECASE)
_MAGNITUDES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_PERCENT = re.compile(r"\s*(?:\\?%|per ?cent(?:age)?\b|pct\b)", re.IGNORECASE)

_ALGEBRA = (
    r"sqrt|pi|log|ln|sin|cos|tan|root|squared|cubed|factorial|times|plus|minus|negative|over|half|halves|third|thirds"
    r"|quarter|quarters|infinity|and|or(?! so\b)|mod|choose"
)
_WORD = (
    rf"(?!(?:{_ALGEBRA})\b)"
    r"(?:[a-z]{3,}+|of|in|on|at|to|by|is|it|he|we|an|as|a|or so"
    r"|am|pm|mm|cm|dm|km|kg|mg|ml|lb|oz|ft|mi|hr|(?<=/)[hsmgl])\b"
)
_TOUCHING = r"mm|cm|dm|km|kg|mg|ml|lbs?|oz|ft|mph|kmh|cents?|dollars?|usd|hours?|hrs?|min(?:utes)?|am|pm|[ ][mglshcf]"
"""Units that stand next to the digits, unlike the letters of `5ab`; and the letters that are units after a space."""
_DEGREES = r"\s*(?:\^\s*\{?\s*\\circ\b\s*\}?|\\degree\b|°)"
_UNIT = re.compile(
    rf"(?:{_DEGREES})?(?:(?:{_TOUCHING})\b)?"
    rf"(?:\s*(?:\^\s*\{{?\s*[23]\s*\}}?|[²³])|(?:[\s/,.()'’-]++(?:{_WORD})))*+[\s.,)'’]*",
    re.IGNORECASE,
)
_LEAD = re.compile(rf"(?:{_WORD}[\s,:(]++)*+", re.IGNORECASE)
_NAMED = re.compile(r"[A-Za-z](?:_\{?\w+\}?)?(?:\([a-z0-9]\))?\s*=\s*(?=[^=\s])")
_LEFT_SIDE = re.compile(r"[^,;]*(?<![\\<>!=])=\s*(?=[^=\s])")
_ABOUT = re.compile(r"\\approx\b|≈")


class Number(NamedTuple):
    """A number as it was written."""

    value: Fraction
    percent: bool
    decimal: bool
    """Written with a decimal point, so it may be rounded."""


def number(text: str) -> Number | None:
    """Return the number that a bare text is, such as `5`, `5 cm` or `x = 5`."""
    if len(text) > LONGEST:
        return None
    if name := _NAMED.match(text):
        text = text[name.end() :]
    if "\\frac" in text:
        text = _LATEX_FRACTION.sub(r" \1\2/\3\4 ", text).strip()
    found = _NUMBER.match(text)
    return _completed(_read(found), text, found.end()) if found else None


def numbers_said(text: str) -> list[Number]:
    """Return the readings of a bare text that comes to one number: `2 + 3 = 5`, `1/3 ≈ 0.33`, `about 42 eggs`."""
    if len(text) > LONGEST:
        return []
    sides = _ABOUT.split(_LEFT_SIDE.sub("", text, count=1))
    readings = (number(side.strip()) or _number_in_words(side) for side in sides)
    return [reading for reading in readings if reading is not None]


def _number_in_words(text: str) -> Number | None:
    """Return the number with only words before it and after it."""
    lead = _LEAD.match(text)
    return number(text[lead.end() :]) if lead and lead.end() else None


def same(given: Number, wanted: Number) -> bool:
    """Return whether two numbers are equal: as fractions; or to 5e-7 and five digits where one is a decimal;
    percentages as their fractions too.

    28% is also taken for 28, since many gold answers omit the sign, but not 0.28% for 0.28.
    """
    rounded = given.decimal or wanted.decimal
    if given.percent == wanted.percent:
        return _close(given.value, wanted.value, rounded)
    if abs(given.value) >= 1 and _close(given.value, wanted.value, rounded):
        return True
    given_part, wanted_part = (n.value / 100 if n.percent else n.value for n in (given, wanted))
    return _close(given_part, wanted_part, rounded)


def _close(a: Fraction, b: Fraction, rounded: bool) -> bool:
    return a == b or (rounded and abs(a - b) <= min(Fraction(1, 2_000_000), max(abs(a), abs(b)) / 100_000))


def _read(found: re.Match[str]) -> Number | None:
    """Return the value of a match of `_NUMBER`; None for a fraction over zero."""
    parts = {name: re.sub("[, ]", "", part) for name, part in found.groupdict().items() if part is not None}
    sign = -1 if parts["sign"] == "-" else 1
    if "bottom" not in parts:
        return Number(sign * Fraction(parts.get("decimal") or parts["integer"]), False, "decimal" in parts)
    if not int(parts["bottom"]):
        return None
    return Number(sign * (int(parts.get("whole", 0)) + Fraction(int(parts["top"]), int(parts["bottom"]))), False, False)


def _completed(read: Number | None, text: str, end: int) -> Number | None:
    """Return the number with its power of ten, magnitude and percent sign; None where more than a unit is left then."""
    if read is None or end == len(text):
        return read
    if power := _POWER_OF_TEN.match(text, end):
        read, end = read._replace(value=read.value * Fraction(10) ** int(power[1] or power[2])), power.end()
    if magnitude := _MAGNITUDE.match(text, end):
        read, end = read._replace(value=read.value * _MAGNITUDES[magnitude[1].lower()]), magnitude.end()
    if percent := _PERCENT.match(text, end):
        read, end = read._replace(percent=True), percent.end()
    return read if _UNIT.fullmatch(text, end) else None
