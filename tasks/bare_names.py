"""Lets `prefect deployment run full-sweep` find full-sweep/full-sweep.

Prefect requires FLOW/DEPLOYMENT. This is a plugin of its command line (entry point group `prefect.plugins`, enabled by
`[tool.prefect]` in the pyproject.toml of the directory where the command is typed): a name without a slash that exactly
one deployment has stands for that deployment; anything else gets Prefect's own answer. The plugin also points the
command line to the local server of this directory, if one runs and no other is configured.
"""

import functools
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.plugins import HookContext, SetupResult, register_hook

from tasks.local import server

PROGRAMS = ("prefect", "-m")
"""The names of Prefect's command line; `python -m prefect` is called `-m` until its module is found."""

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.responses import DeploymentResponse


@register_hook
def setup_environment(*, ctx: HookContext) -> SetupResult | None:
    """Set up Prefect's command line; do nothing in other programs. Prefect calls this whenever it is imported."""
    if Path(sys.argv[0]).name not in PROGRAMS or "server" in sys.argv[1:2]:
        return None
    if "deployment" in sys.argv:
        _resolve_bare_names()
    local = None if ctx.api_url else server.running()
    return SetupResult(env=server.run_environment(local)) if local else None


def _resolve_bare_names() -> None:
    from prefect.client.orchestration import PrefectClient

    exact = PrefectClient.read_deployment_by_name

    @functools.wraps(exact)
    async def read_deployment_by_name(client: "PrefectClient", name: str) -> "DeploymentResponse":
        if "/" not in name:
            found = await _named(client, name)
            if len(found) == 1:
                return found[0]
        return await exact(client, name)

    setattr(PrefectClient, "read_deployment_by_name", read_deployment_by_name)  # noqa: B010  mypy forbids assignment


async def _named(client: "PrefectClient", name: str) -> "list[DeploymentResponse]":
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterName

    return await client.read_deployments(deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=[name])))
