"""`make worker`: become a Prefect worker that runs what `make deploy` has registered, until Ctrl-C."""

import os
import subprocess
import sys

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
    # Plugins are for the command line; in the processes that a worker starts for hooks they end in a traceback.
    environment = {**formatted(os.environ), "PREFECT_PLUGINS_ENABLED": "false"}
    subprocess.Popen([sys.executable, "-m", "infra.housekeeping"], env=environment)  # it ends with this process
    if port is not None:
        subprocess.Popen(
            [sys.executable, "-m", "tasks.metrics", "--beside-worker"], env=environment
        )  # as does this one
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL, "--type", "process"]
    os.execve(sys.executable, [*command, "--install-policy", "never"], environment)  # noqa: S606  no shell


if __name__ == "__main__":
    sys.exit(main())
