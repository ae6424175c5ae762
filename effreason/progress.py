"""What a running step says of itself: one JSON object a line on its standard output, and nothing else there.

A step ends its output with either its manifest or its error, so that whoever launched it (a Prefect task, a
container's log reader, a person with jq) needs no other channel.
"""

import json
import sys
from collections.abc import Callable, Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from effreason.artifacts import Manifest


class Progress(BaseModel):
    """The progress of a step. Made by the steps; read by the launcher's display."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    phase: str
    """The current phase: `load`, `train`, `generate`, `grade`, `write`; the store adds `fetch` and `upload`, in
    megabytes."""
    done: int = Field(ge=0)
    total: int = Field(ge=0)
    """Units of `done`; 0 while it is not known."""
    figures: dict[str, float] = {}
    """The few numbers worth watching, such as reward, tokens, accuracy."""
    alarm: str | None = None
    """A warning that needs attention at once."""
    generated_tokens: int = 0
    """Tokens since the line before; 0 for a step that does not count them as it goes."""


class Fault(BaseModel):
    """The reason why a step ended without an artifact. `user` faults are not retried."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["user", "failure"]
    happened: str
    remedy: str


class Message(BaseModel):
    """One line of a step's standard output: exactly one of the three."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    progress: Progress | None = None
    fault: Fault | None = None
    manifest: Manifest | None = None


def parsed(line: str) -> Message | None:
    """Return the message that a line holds; None where it is not of the protocol."""
    if not line.startswith("{"):
        return None
    try:
        return Message.model_validate_json(line)
    except ValidationError:
        return None


Reporter = Callable[[Progress], None]
"""A function that takes the progress of a step."""


def quiet(progress: Progress) -> None:
    """Discard progress."""


def emit(kind: Literal["progress", "manifest", "fault"], body: Mapping[str, object]) -> None:
    """Write one line of the protocol."""
    sys.stdout.write(json.dumps({kind: body}, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def emit_progress(progress: Progress) -> None:
    emit("progress", progress.model_dump())
