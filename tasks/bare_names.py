"""`prefect deployment run full-sweep`, typed so, finds full-sweep/full-sweep.

Prefect wants FLOW/DEPLOYMENT. This is a plugin of its command line (entry point group `prefect.plugins`, enabled by
`[tool.prefect]` in pyproject.toml where the command is typed): a name without a slash that exactly one deployment has
stands for that deployment; anything else gets Prefect's own answer. It also tells the command line of the local server
of this directory, where one runs and no other is configured.
"""

import functools
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.plugins import HookContext, SetupResult, register_hook

from tasks.local import server

PROGRAMS = ("prefect", "-m")
"""The second is what `python -m prefect` is called until it is found."""

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.responses import DeploymentResponse


@register_hook
def setup_environment(*, ctx: HookContext) -> SetupResult | None:
    """Called by Prefect while it is imported, by whatever program; only its command line is concerned."""
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

    setattr(PrefectClient, "read_deployment_by_name", read_deployment_by_name)  # noqa: B010  mypy forbids the other way


async def _named(client: "PrefectClient", name: str) -> "list[DeploymentResponse]":
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterName

    return await client.read_deployments(deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=[name])))
