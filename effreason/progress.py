"""What a running step says of itself: one JSON object a line on its standard output, and nothing else there.

A step ends its output with either its manifest or its error, so that whoever launched it (a Prefect task, a
container's log reader, a person with jq) needs no other channel.
"""

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Progress(BaseModel):
    """How far a step has come. Made by the steps; read by the launcher's display."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    phase: str
    """What is being done: `load`, `train`, `generate`, `grade`, `write`;
    the store adds `fetch` and `upload`, in megabytes."""
    done: int = Field(ge=0)
    total: int = Field(ge=0)
    """Units of `done`; 0 while it is not known."""
    figures: dict[str, float] = {}
    """The few numbers worth watching, such as reward, tokens, accuracy."""
    alarm: str | None = None
    """What somebody should look at at once."""
    generated_tokens: int = 0
    """Since the line before; 0 of a step that does not count them as it goes."""


class Fault(BaseModel):
    """Why a step ended without an artifact. `user` faults are not retried."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["user", "failure"]
    happened: str
    remedy: str


class Line(BaseModel):
    """One line of a step's standard output: exactly one of the three."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    progress: Progress | None = None
    fault: Fault | None = None
    manifest: dict[str, Any] | None = None
    """As `artifacts.Manifest`."""


Reporter = Callable[[Progress], None]
"""Where a step sends its progress."""


def quiet(progress: Progress) -> None:
    """Send progress nowhere."""


def emit(kind: Literal["progress", "manifest", "fault"], body: Mapping[str, object]) -> None:
    """Write one line of the protocol."""
    sys.stdout.write(json.dumps({kind: body}, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def emit_progress(progress: Progress) -> None:
    emit("progress", progress.model_dump())
