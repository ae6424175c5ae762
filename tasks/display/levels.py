"""How serious a line is that a step has written, by how loggers, the interpreter and libraries begin such lines."""

import logging
import re

LEVELS = (
    (logging.ERROR, re.compile(r"\W*(?:CRITICAL|FATAL|ERROR)\b|Traceback \(|(?:\w+\.)*\w+(?:Error|Exception): ")),
    (logging.WARNING, re.compile(r"\W*WARN(?:ING)?\b|.*\b\w*Warning: ")),
)


def level_of(line: str) -> int:
    """The level, as `logging` has them."""
    return next((level for level, wrong in LEVELS if wrong.match(line)), logging.INFO)
