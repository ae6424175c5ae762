"""A Prefect server with its UI for this machine alone, started in the background for a run that is given no other.

    python -m tasks.local.server start | stop | status

It keeps its database, its log and the record of where it listens in `.prefect` in the working directory
(EFFREASON_PREFECT_HOME names another folder), and every later run from there uses it. The process is one of
`tasks.local.daemons`: if several are started at once, one gets the lock and the others exit. Prefect is not imported
here, since it reads its settings when imported, and they depend on the address.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from effreason.errors import EffreasonError, StepFailure, UserError
from effreason.store.shelf import disk_errors
from tasks.local.daemons import HOST as HOST
from tasks.local.daemons import Daemon, Listening, all_ended

USUAL_PORT = 4200
HEALTHY_WITHIN_SECONDS = 120.0
STOPS_WITHIN_SECONDS = 10.0
POLL_SECONDS = 0.1
MOST_STARTS = 3
"""Number of attempts: a port may be taken between the check and its use."""
TRACKING_OFF = {"DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}


class Server(Listening):
    """The record of a server that was started from here; its UI is at its address."""

    @property
    def api(self) -> str:
        return f"{self.address}/api"


def home() -> Path:
    """Return the folder of the server."""
    return Path(os.environ.get("EFFREASON_PREFECT_HOME", ".prefect")).resolve()


def ensure_server() -> Server:
    """Return the healthy server of this home, and start one if none runs.

    Raises:
        UserError: the home cannot be a folder, or is not writable.
        StepFailure: the server does not become healthy.
    """
    with disk_errors(home()):
        home().mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=home()).close()
    deadline = time.monotonic() + HEALTHY_WITHIN_SECONDS
    starts: list[subprocess.Popen[bytes]] = []
    while time.monotonic() < deadline:
        server = running()
        if server is not None and _is_served(server):
            return server
        if server is None and all_ended(starts):
            if len(starts) == MOST_STARTS:
                break
            starts.append(_daemon().start("tasks.local.server", "serve"))
        time.sleep(POLL_SECONDS)
    raise StepFailure(
        f"The Prefect server did not become healthy within {HEALTHY_WITHIN_SECONDS:.0f} s.",
        f"Check its log {_daemon().log}, stop it with `python -m tasks.local.server stop`, or run with --no-server.",
    )


def running() -> Server | None:
    """Return the server of this home, healthy or still starting; None if none runs."""
    return _recorded() if _daemon().running() else None


def stop() -> bool:
    """Stop the server of this home; return False if none runs."""
    server = running()
    if server is None:
        return False
    os.killpg(server.pid, signal.SIGINT)
    deadline = time.monotonic() + STOPS_WITHIN_SECONDS
    while running() is not None:
        if time.monotonic() > deadline:
            os.killpg(server.pid, signal.SIGKILL)
        time.sleep(POLL_SECONDS)
    return True


def answers(api: str) -> bool:
    """Return whether an HTTP server answers at the address; a refusal for lack of a key counts as an answer."""
    try:
        with urllib.request.urlopen(f"{api}/health", timeout=5):  # noqa: S310  the user's or our own address
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500
    except (OSError, ValueError):
        return False


def _is_served(server: Server) -> bool:
    """Return whether this home's server answers, and not another that took the port while ours was starting."""
    try:
        with urllib.request.urlopen(f"{server.api}/admin/settings", timeout=5) as answer:  # noqa: S310  our own
            settings = json.load(answer)
    except (OSError, ValueError):
        return False
    return isinstance(settings, dict) and settings.get("home") == str(home())


def run_environment(server: Server | None) -> dict[str, str]:
    """Return the environment that Prefect needs in a run, with the local server or with a temporary one."""
    return {
        **TRACKING_OFF,
        "PREFECT_HOME": str(home()),
        "PREFECT_PROFILES_PATH": str(home() / "profiles.toml"),
        **(_local(server) if server else _temporary()),
    }


def check_reachable(api: str) -> None:
    """Raise `UserError` if nothing answers at the address, which PREFECT_API_URL names."""
    if not answers(api):
        raise UserError(
            f"No Prefect server answers at {api}, which PREFECT_API_URL names.",
            "Start it, or unset PREFECT_API_URL to have a local one started.",
        )


def _local(server: Server) -> dict[str, str]:
    """Return the settings for the local server, with few retries, as a minute of them, the default, gains nothing."""
    return {"PREFECT_API_URL": server.api, "PREFECT_CLIENT_MAX_RETRIES": "3"}


def _temporary() -> dict[str, str]:
    return {"PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true", "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "60"}


# ------------------------------------------------------------------------------------- the server's own process


def _serve() -> int:
    """Become the server, unless there is one: the program executed here inherits the process ID and the lock."""
    if not _daemon().acquire():
        return 0
    server = Server(os.getpid(), _port())
    _daemon().publish(asdict(server))
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", HOST, "--port", str(server.port)]
    os.execve(sys.executable, command, _server_environment(server, os.environ))  # noqa: S606  no shell


def _port() -> int:
    """Return the last server's port, so that open addresses stay valid, else the usual one, else any that is free."""
    recorded = _recorded()
    for port in (recorded.port if recorded else USUAL_PORT, USUAL_PORT, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise StepFailure("No port is free on this machine.", "Stop a server, or run with --no-server.")


def _server_environment(server: Server, outer: Mapping[str, str]) -> dict[str, str]:
    told_elsewhere = ("PREFECT_API_URL", "PREFECT_API_KEY", "PREFECT_PROFILE")
    return {
        **{name: value for name, value in outer.items() if name not in told_elsewhere},
        **TRACKING_OFF,
        "PREFECT_HOME": str(home()),
        "PREFECT_PROFILES_PATH": str(home() / "profiles.toml"),
        "PREFECT_UI_API_URL": server.api,
        "PREFECT_CLI_PROMPT": "false",
        # With the default, in memory, the slots of concurrency limits are lost forever when the server restarts.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    }


def _recorded() -> Server | None:
    record = _daemon().record()
    return None if record is None else Server(**record)


def _daemon() -> Daemon:
    return Daemon(home(), "server")


# ----------------------------------------------------------------------------------------------- as a command


def main(arguments: Sequence[str]) -> int:
    match list(arguments):
        case ["start"]:
            print(f"Prefect UI: {ensure_server().address}")
        case ["stop"]:
            print("The Prefect server is stopped." if stop() else f"No Prefect server of {home()} is running.")
        case ["status"]:
            server = running()
            print(f"Prefect UI: {server.address}" if server else f"No Prefect server of {home()} is running.")
        case ["serve"]:
            return _serve()
        case _:
            print("usage: python -m tasks.local.server start | stop | status", file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except EffreasonError as error:
        sys.exit(f"tasks.local.server: {error}")
