"""What `fake_flow_run.py` wrote down, and what it says about who had which device when."""

import json
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple


class Span(NamedTuple):
    """A stretch of time in seconds, from the machine's monotonic clock."""

    start: float
    end: float
    devices: tuple[str, ...]


def spans(trace: Path, first: str, last: str) -> dict[str, Span]:
    """By label, the time from one event of a step to another, with the devices that the later one names."""
    lines = [json.loads(line) for line in trace.read_text().splitlines()]
    started = {line["label"]: line["time"] for line in lines if line["event"] == first}
    return {
        line["label"]: Span(started[line["label"]], line["time"], _names(line["devices"]))
        for line in lines
        if line["event"] == last
    }


def overlaps(held: list[Span]) -> int:
    """How often a device had a second holder before the first had ended."""
    by_device = defaultdict(list)
    for span in held:
        for device in span.devices:
            by_device[device].append(span)
    return sum(later.start < earlier.end for spans in by_device.values() for earlier, later in pairwise(sorted(spans)))


def leased_while_waited_for(waited: list[Span], held: list[Span], devices: int) -> float:
    """The part of the devices that was leased, over the time in which some step waited."""
    edges = sorted({edge for span in (*waited, *held) for edge in (span.start, span.end)})
    waiting = leased = 0.0
    for start, end in pairwise(edges):
        middle = (start + end) / 2
        if any(span.start < middle < span.end for span in waited):
            waiting += end - start
            leased += (end - start) * sum(len(span.devices) for span in held if span.start < middle < span.end)
    return leased / (devices * waiting)


def _names(devices: str | list[str]) -> tuple[str, ...]:
    return tuple(devices.split(",") if isinstance(devices, str) else devices)
