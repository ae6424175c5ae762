"""`effreason browse` beside the local Prefect server, so that the links in its UI work.

One browser runs in the background, on loopback, for each store whose results are shown in the UI; it ends with that
server. For runs on another server, EFFREASON_ARTIFACTS_URL names the address at which their artifacts can be viewed.
"""

import hashlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from pydantic import TypeAdapter

from effreason.browsing import ArtifactServer
from effreason.choices import FolderHome, Home
from effreason.errors import EffreasonError, StepFailure
from effreason.store import open_store
from tasks.local import server
from tasks.local.daemons import HOST, Daemon, Listening, all_ended

ARTIFACTS_URL = "EFFREASON_ARTIFACTS_URL"
USUAL_PORT = 4280
STARTS_WITHIN_SECONDS = 30.0
POLL_SECONDS = 0.1
LOOK_SECONDS = 1.0
"""Interval at which the presence of the Prefect server is checked."""


class Browser(Listening):
    """The record of a browser that was started from here."""


def address_of(home: Home) -> str | None:
    """Return the address at which the artifacts of a store can be viewed; None if they cannot.

    Raises `StepFailure` if a browser is needed and does not start.
    """
    if given := os.environ.get(ARTIFACTS_URL):
        return given.rstrip("/")
    local = server.running()
    if local is None or os.environ.get("PREFECT_API_URL") != local.api:
        return None
    return ensure_browser(home).address


def ensure_browser(home: Home) -> Browser:
    """Return the browser of the store, and start one if none runs. Raises `StepFailure` if it does not start."""
    deadline = time.monotonic() + STARTS_WITHIN_SECONDS
    daemon = _daemon(home)
    starts: list[subprocess.Popen[bytes]] = []
    while time.monotonic() < deadline:
        if (browser := running(home)) is not None:
            return browser
        if not starts:
            starts.append(
                daemon.start("tasks.local.browser", TypeAdapter[Home](Home).dump_json(_placed(home)).decode())
            )
        elif all_ended(starts) and not daemon.running():
            break
        time.sleep(POLL_SECONDS)
    raise StepFailure("The artifact browser did not start.", f"Check its log {daemon.log}.")


def running(home: Home) -> Browser | None:
    """Return the browser of a store; None if none runs."""
    daemon = _daemon(home)
    record = daemon.record() if daemon.running() else None
    return None if record is None else Browser(**record)


def _placed(home: Home) -> Home:
    """Return the store's home with an absolute path, so that it means the same in every working directory."""
    return FolderHome(path=str(Path(home.path).resolve())) if isinstance(home, FolderHome) else home


def _daemon(home: Home) -> Daemon:
    place = hashlib.sha256(TypeAdapter[Home](Home).dump_json(_placed(home))).hexdigest()[:12]
    return Daemon(server.home(), f"browser-{place}")


# ------------------------------------------------------------------------------------ the browser's own process


def _serve(home: Home) -> int:
    daemon = _daemon(home)
    if not daemon.acquire():
        return 0
    last = daemon.record()
    daemon.retract()
    with _listening(home, USUAL_PORT if last is None else last["port"]) as browser:
        threading.Thread(target=browser.serve_forever, daemon=True).start()
        daemon.publish(asdict(Browser(os.getpid(), browser.server_port)))
        while server.running() is not None:
            time.sleep(LOOK_SECONDS)
        browser.shutdown()
    return 0


def _listening(home: Home, last: int) -> ArtifactServer:
    """Listen at the last port, so that open addresses stay valid, else at the usual one, else at any that is free."""
    store = open_store(home)
    for port in (last, USUAL_PORT):
        try:
            return ArtifactServer(store, HOST, port)
        except OSError:
            continue
    return ArtifactServer(store, HOST, 0)


def main(arguments: Sequence[str]) -> int:
    """Serve the store whose home is given as JSON; `ensure_browser` starts this."""
    return _serve(TypeAdapter[Home](Home).validate_json(arguments[0]))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except EffreasonError as error:
        sys.exit(f"tasks.local.browser: {error}")
