"""The events of a run as JSON lines on standard output, with EFFREASON_LOG_FORMAT=json: docs/observability.md."""

import json
import logging
import sys
import threading
import time
from datetime import UTC, datetime
from typing import Literal

from effreason.artifacts import Manifest
from effreason.cost import spent_on
from effreason.errors import EffreasonError, UserError
from effreason.progress import Progress
from tasks.display.board import kind_of
from tasks.display.levels import level_of
from tasks.running.process import Stopped
from tasks.settings import logs_as_json

SECONDS_BETWEEN_LINES = 10.0
"""Least interval between lines on the progress of one step; everything else is logged at once."""

Level = Literal["info", "warning", "error"]
NAMES: dict[int, Level] = {logging.INFO: "info", logging.WARNING: "warning", logging.ERROR: "error"}
_writing = threading.Lock()


def log(level: Level, event: str, **fields: object) -> None:
    """Write one line with time, level, event and fields."""
    moment = datetime.now(UTC).isoformat(timespec="milliseconds")
    line = json.dumps({"time": moment, "level": level, "event": event, **fields}, ensure_ascii=False)
    with _writing:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def as_json() -> bool:
    """Return whether JSON lines are wanted; False if the setting is invalid, so that the error is reported as text."""
    try:
        return logs_as_json()
    except UserError:
        return False


def tell(sentence: str, event: str, **fields: object) -> None:
    """Print the sentence for a person, or log the event with its fields for a program."""
    if as_json():
        log("info", event, **fields)
    else:
        print(sentence, flush=True)


class JsonLines:
    """A `tasks.running.launching.Listener` that logs JSON lines in place of the display."""

    def __init__(self, experiment: str) -> None:
        from prefect.runtime import flow_run  # not at the top: this module is imported before Prefect may be

        self._known = {"experiment": experiment, "flow_run": flow_run.id, "flow_run_name": flow_run.name}
        self._began: dict[str, float] = {}
        self._spoke: dict[str, float] = {}

    def found(self, label: str, manifest: Manifest) -> None:
        self._log("info", "step found", label, address=manifest.address)

    def began(self, label: str) -> None:
        self._began[label] = time.monotonic()
        self._log("info", "step began", label)

    def progressed(self, label: str, progress: Progress) -> None:
        if time.monotonic() - self._spoke.get(label, 0.0) >= SECONDS_BETWEEN_LINES:
            self._spoke[label] = time.monotonic()
            told = progress.model_dump(exclude={"alarm", "generated_tokens"})
            self._log("info", "step progress", label, **told)

    def alarmed(self, label: str, sentence: str) -> None:
        self._log("warning", "step alarm", label, message=sentence)

    def said(self, label: str, line: str) -> None:
        self._log(NAMES[level_of(line)], "step log", label, message=line)

    def ended(self, label: str, manifest: Manifest) -> None:
        spent = spent_on(manifest)
        self._log(
            "info",
            "step made",
            label,
            address=manifest.address,
            seconds=round(time.monotonic() - self._began[label], 3),
            gpu_seconds=round(spent.gpu_seconds, 3),
            generated_tokens=spent.tokens,
        )

    def failed(self, label: str, error: EffreasonError) -> None:
        stopped = isinstance(error, Stopped)
        self._log(
            "warning" if stopped else "error",
            "step stopped" if stopped else "step failed",
            label,
            message=error.happened,
            remedy=error.remedy,
        )

    def _log(self, level: Level, event: str, label: str, **fields: object) -> None:
        log(level, event, **self._known, step=kind_of(label), label=label, **fields)
