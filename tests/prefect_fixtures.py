"""A real Prefect server for all tests that need one, in a home of its own, and how to ask it."""

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from tasks.local.server import TRACKING_OFF, Server, ensure_server, stop

BUSY_SECONDS = 20
"""For which the server's SQLite may let a request wait on a busy machine."""


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EFFREASON_PREFECT_HOME", str(tmp_path_factory.mktemp("prefect")))
        server = ensure_server()
        home = os.environ["EFFREASON_PREFECT_HOME"]
    yield server
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EFFREASON_PREFECT_HOME", home)
        stop()


@pytest.fixture
def prefect_environment(prefect_server: Server, tmp_path: Path) -> dict[str, str]:
    """The environment of a process that uses the server."""
    return {
        **os.environ,
        **TRACKING_OFF,
        "PREFECT_API_URL": prefect_server.api,
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
        "PYTHONPATH": str(Path(__file__).parent.parent),
    }


def ask(server: Server, path: str, body: dict[str, Any] | None = None) -> Any:
    """The answer of the server's REST interface; one whose database is busy is asked again."""
    request = urllib.request.Request(  # noqa: S310
        f"{server.api}{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    for patience in reversed(range(BUSY_SECONDS)):
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                return json.loads(answer.read() or "null")
        except urllib.error.HTTPError as error:
            if error.code != HTTPStatus.SERVICE_UNAVAILABLE or not patience:
                raise
            time.sleep(1)
