"""What a launcher tells a step through standard input: the order, and the part of the environment that is secret.

Nothing of it is in a file, in the arguments or in the configuration of a container, where others could read it.
"""

import os
import sys
import tempfile
from pathlib import Path

from pydantic import ValidationError

from effreason.errors import UserError
from effreason.frozen import Frozen
from effreason.order import Order

CHUNK_BYTES = 1 << 16


class Handover(Frozen):
    """One line of JSON. Made by `tasks.running.container`; read by `effreason step STEP -`."""

    order: Order
    environment: dict[str, str] = {}


def received() -> Path:
    """Read the first line of standard input, set the environment, and return the path of the order.

    Raises:
        UserError: that line is no handover.
    """
    try:
        handover = Handover.model_validate_json(_first_line())
    except ValidationError as error:
        # Not the error's own text, which quotes what it was given.
        mistakes = ", ".join(".".join(map(str, mistake["loc"])) or mistake["type"] for mistake in error.errors())
        raise UserError(
            f"The first line of standard input is not a valid handover ({mistakes}).",
            "Give the path of an order instead of -.",
        ) from None
    os.environ.update(handover.environment)
    with tempfile.NamedTemporaryFile("w", prefix="effreason-order-", suffix=".json", delete=False) as file:
        file.write(handover.order.model_dump_json())
    return Path(file.name)


def _first_line() -> bytes:
    """Not through a buffer, which would keep what follows from whoever reads next."""
    line = b""
    while not line.endswith(b"\n") and (chunk := os.read(sys.stdin.fileno(), CHUNK_BYTES)):
        line += chunk
    return line
