"""The level of a line that a step has written, by the way in which loggers, Python and libraries begin such lines."""

import logging
import re

LEVELS = (
    (logging.ERROR, re.compile(r"\W*(?:CRITICAL|FATAL|ERROR)\b|Traceback \(|(?:\w+\.)*\w+(?:Error|Exception): ")),
    (logging.WARNING, re.compile(r"\W*WARN(?:ING)?\b|.*\b\w*Warning: ")),
)


def level_of(line: str) -> int:
    """Return the level of the line, a constant of `logging`."""
    return next((level for level, wrong in LEVELS if wrong.match(line)), logging.INFO)
