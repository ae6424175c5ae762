"""`effreason browse` beside the local Prefect server, so that the links in its UI open.

One for each store whose results are shown there, on loopback, in the background; it ends when that server does. Where
runs have another server, EFFREASON_ARTIFACTS_URL says where their artifacts can be looked at.
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
"""Between two looks at whether the Prefect server is still there."""


class Browser(Listening):
    """The record of a browser that was started from here."""


def address_of(home: Home) -> str | None:
    """Where the artifacts of a store can be looked at; None where they cannot.

    Raises `StepFailure` where a browser should be there and does not come.
    """
    if given := os.environ.get(ARTIFACTS_URL):
        return given.rstrip("/")
    local = server.running()
    if local is None or os.environ.get("PREFECT_API_URL") != local.api:
        return None
    return ensure_browser(home).address


def ensure_browser(home: Home) -> Browser:
    """That of the store, started if none runs. Raises `StepFailure` if it does not come."""
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
    """The browser of a store, where one listens."""
    daemon = _daemon(home)
    record = daemon.record() if daemon.running() else None
    return None if record is None else Browser(**record)


def _placed(home: Home) -> Home:
    """The same wherever it is read."""
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
    """At the port of the last one, so that addresses in browsers stay good, or the usual one, or any that is free."""
    store = open_store(home)
    for port in (last, USUAL_PORT):
        try:
            return ArtifactServer(store, HOST, port)
        except OSError:
            continue
    return ArtifactServer(store, HOST, 0)


def main(arguments: Sequence[str]) -> int:
    """With the store's home as JSON: what `ensure_browser` starts."""
    return _serve(TypeAdapter[Home](Home).validate_json(arguments[0]))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except EffreasonError as error:
        sys.exit(f"tasks.local.browser: {error}")
