"""What the environment says of logs and metrics: docs/observability.md."""

import os
from collections.abc import Mapping

from effreason.errors import UserError

METRICS_PORT = "EFFREASON_METRICS_PORT"
METRICS_HOST = "EFFREASON_METRICS_HOST"
LOG_FORMAT = "EFFREASON_LOG_FORMAT"
PREFECTS_JSON = {"PREFECT_LOGGING_HANDLERS_CONSOLE_FORMATTER": "json"}


def metrics_port() -> int | None:
    """Where metrics are served; None where they are off. Raises `UserError` for what is no port."""
    text = os.environ.get(METRICS_PORT, "")
    if not text:
        return None
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise UserError(f"{METRICS_PORT}={text} is not a valid port.", "Give a number such as 9464, or leave it out.")
    return int(text)


def metrics_host() -> str:
    """The address that they are served at: this machine alone, where nothing else is said."""
    return os.environ.get(METRICS_HOST) or "127.0.0.1"


def logs_as_json() -> bool:
    """Raises `UserError` for a format that there is not."""
    form = os.environ.get(LOG_FORMAT) or "text"
    if form not in ("text", "json"):
        raise UserError(f"{LOG_FORMAT}={form} is not a valid log format.", "Set it to json or text.")
    return form == "json"


def formatted(environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` with what has Prefect write its own logs in the same format. Raises as `logs_as_json`."""
    return {**(PREFECTS_JSON if logs_as_json() else {}), **environment}
