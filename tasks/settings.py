"""The settings of logs and metrics in the environment: docs/observability.md."""

import os
from collections.abc import Mapping

from effreason.errors import UserError

METRICS_PORT = "EFFREASON_METRICS_PORT"
METRICS_HOST = "EFFREASON_METRICS_HOST"
LOG_FORMAT = "EFFREASON_LOG_FORMAT"
PREFECTS_JSON = {"PREFECT_LOGGING_HANDLERS_CONSOLE_FORMATTER": "json"}


def metrics_port() -> int | None:
    """Return the port on which metrics are served; None if they are off. Raises `UserError` for an invalid port."""
    text = os.environ.get(METRICS_PORT, "")
    if not text:
        return None
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise UserError(f"{METRICS_PORT}={text} is not a valid port.", "Give a number such as 9464, or leave it out.")
    return int(text)


def metrics_host() -> str:
    """Return the address on which metrics are served; by default only this machine can reach it."""
    return os.environ.get(METRICS_HOST) or "127.0.0.1"


def logs_as_json() -> bool:
    """Return whether logs are written as JSON. Raises `UserError` for an unknown format."""
    form = os.environ.get(LOG_FORMAT) or "text"
    if form not in ("text", "json"):
        raise UserError(f"{LOG_FORMAT}={form} is not a valid log format.", "Set it to json or text.")
    return form == "json"


def formatted(environment: Mapping[str, str]) -> dict[str, str]:
    """Return `environment` with the setting that makes Prefect write its own logs in the same format.

    Raises as `logs_as_json` does.
    """
    return {**(PREFECTS_JSON if logs_as_json() else {}), **environment}
