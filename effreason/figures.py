"""Figures as a reader sees them: each with its interval, and with as many digits as keep its limits apart."""

from typing import NamedTuple, Protocol

MOST_DIGITS = 6
UNKNOWN_CENTRE = "–"


class Limits(Protocol):
    """An interval of any origin: `artifacts.Interval`, or one read back from a report."""

    @property
    def low(self) -> float: ...
    @property
    def centre(self) -> float: ...
    @property
    def high(self) -> float: ...


class Figure(NamedTuple):
    """A number and its interval as text. Made here; read by whatever shows figures: pages, tables, plots, sentences."""

    centre: str
    limits: str
    """`[low, high]`, or why there is none."""

    def __str__(self) -> str:
        return self.limits if self.centre == UNKNOWN_CENTRE else f"{self.centre} {self.limits}"


UNKNOWN = Figure(UNKNOWN_CENTRE, "too little data")


def percent(interval: Limits | None) -> Figure:
    """A share of the whole: `96.1% [95.0, 97.2]`."""
    return _figure(interval, scale=100, sign="", unit="%")


def points(interval: Limits | None) -> Figure:
    """A difference of two shares, in percentage points: `+3.5 [+1.2, +5.8]`."""
    return _figure(interval, scale=100, sign="+", unit="")


def count(interval: Limits | None) -> Figure:
    """A number of tokens: `90.5 [88.2, 92.8]`."""
    return _figure(interval, scale=1, sign="", unit="")


def ratio(interval: Limits | None) -> Figure:
    """A plain number, such as a ratio or a score: `1.84 [1.70, 1.99]`."""
    return _figure(interval, scale=1, sign="", unit="", least=2)


def signed(interval: Limits | None, scale: float = 1.0) -> Figure:
    """A plain number that may be on either side of 0: `+0.31 [+0.12, +0.50]`."""
    return _figure(interval, scale=scale, sign="+", unit="", least=2 if scale == 1 else 1)


def thousands(number: float) -> str:
    """A large whole number, grouped by thin spaces: `1 234 567`."""
    return f"{number:,.0f}".replace(",", "\u2009")


def _figure(interval: Limits | None, scale: float, sign: str, unit: str, least: int = 1) -> Figure:
    """With at least so many digits after the point."""
    if interval is None:
        return UNKNOWN
    low, centre, high = (scale * value for value in (interval.low, interval.centre, interval.high))
    least = least if max(abs(low), abs(high)) < 1000 else 0
    digits = next((n for n in range(least, MOST_DIGITS) if f"{low:z.{n}f}" != f"{high:z.{n}f}"), MOST_DIGITS)
    shown = [f"{value:{sign}z.{digits}f}".replace("-", "−") for value in (low, centre, high)]
    return Figure(f"{shown[1]}{unit}", f"[{shown[0]}, {shown[2]}]")
