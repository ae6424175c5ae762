"""`make worker`: run a Prefect worker for what `make deploy` has registered, until Ctrl-C."""

import os
import subprocess
import sys
from collections.abc import Mapping

from effreason.errors import EffreasonError
from infra.connection import connect
from tasks.settings import formatted, metrics_port

POOL = "effreason"


def main() -> int:
    try:
        port, ui = metrics_port(), connect()
    except EffreasonError as error:
        print(f"worker: {error}", file=sys.stderr)
        return error.exit_code
    print(f"Prefect UI: {ui}", flush=True)
    # Plugins are for the command line; in the processes that a worker starts for hooks they raise an error.
    environment = {**formatted(os.environ), "PREFECT_PLUGINS_ENABLED": "false"}
    _beside("infra.housekeeping", str(os.getpid()), environment=environment)
    if port is not None:
        _beside("tasks.metrics.serving", "--beside-worker", str(os.getpid()), environment=environment)
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL, "--type", "process"]
    os.execve(sys.executable, [*command, "--install-policy", "never"], environment)  # noqa: S606  no shell


def _beside(*command: str, environment: Mapping[str, str]) -> None:
    """Start a process that ends with this one.

    `command` holds the process ID of this one, since a parent may be gone before its child asks for it.
    """
    subprocess.Popen([sys.executable, "-m", *command], env=environment)


if __name__ == "__main__":
    sys.exit(main())
