"""The choice of Prefect server: that of PREFECT_API_URL, or the local one, which is started if none runs."""

import os

from tasks.local import server


def connect() -> str:
    """Set the environment for Prefect, which must not have been imported yet, and return the address of the UI.

    Raises `UserError` if nothing answers at PREFECT_API_URL, `StepFailure` if the local server does not start.
    """
    given = os.environ.get("PREFECT_API_URL")
    if given:
        server.check_reachable(given)
        return given.removesuffix("/").removesuffix("/api")
    local = server.ensure_server()
    os.environ.update(server.run_environment(local))
    return local.address
