"""The registration of the project with a Prefect server, which has to precede its first run.

the work pool           created unless it exists
the deployments         as in prefect.yaml, except that an existing schedule stays on or off at every moment, even if
                        another deployment fails to register; and that the runs which the automation watches send
                        heartbeats often enough
the zombie automation   see `infra.zombies`
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml  # type: ignore[import-untyped]
from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.flows import load_flow_arguments_from_entrypoint
from prefect.workers.process import ProcessWorker

from effreason.errors import StepFailure
from infra.zombies import HEARTBEAT_SECONDS, HEARTBEAT_SETTING, TAG, ensure_automation

ROOT = Path(__file__).parent.parent
POOL = "effreason"


def register() -> Iterator[str]:
    """Register everything, and yield a sentence on each thing done.

    Raises `StepFailure` if Prefect refuses prefect.yaml.
    """
    with get_client(sync_client=True) as client:
        yield f"The work pool {POOL} {_ensure_pool(client)}."
        project = _with_heartbeats(yaml.safe_load((ROOT / "prefect.yaml").read_bytes()))
        _deploy(_as_found(client, project))
        for deployment in client.read_deployments():
            yield f"The deployment {client.read_flow(deployment.flow_id).name}/{deployment.name} is registered."
        yield f"The automation for dead runs {ensure_automation(client)}."


def _ensure_pool(client: SyncPrefectClient) -> str:
    template = ProcessWorker.get_default_base_job_template()
    try:
        client.create_work_pool(WorkPoolCreate(name=POOL, type="process", base_job_template=template))
    except ObjectAlreadyExists:
        return "is there"
    return "was made"


def _with_heartbeats(project: Mapping[str, Any]) -> dict[str, Any]:
    """Return prefect.yaml with a heartbeat in the environment of every entry with our tag that does not set one."""
    deployments = [_beating(entry) if TAG in (entry.get("tags") or ()) else entry for entry in project["deployments"]]
    return {**project, "deployments": deployments}


def _beating(entry: Mapping[str, Any]) -> dict[str, Any]:
    pool = entry.get("work_pool") or {}
    variables = pool.get("job_variables") or {}
    environment = {HEARTBEAT_SETTING: str(HEARTBEAT_SECONDS), **(variables.get("env") or {})}
    return {**entry, "work_pool": {**pool, "job_variables": {**variables, "env": environment}}}


def _as_found(client: SyncPrefectClient, project: dict[str, Any]) -> dict[str, Any]:
    """Return prefect.yaml with every schedule that the server knows switched on or off as it is there."""
    for entry in project["deployments"]:
        if schedules := entry.get("schedules"):
            found = _states(client, f"{_flow(entry['entrypoint'])}/{entry['name']}")
            for schedule in schedules:
                if schedule.get("slug") in found:
                    schedule["active"] = found[schedule.get("slug")]
    return project


def _states(client: SyncPrefectClient, deployment: str) -> dict[str | None, bool]:
    """Return whether each schedule of the deployment is on, by slug; empty if the server does not know it."""
    try:
        return {each.slug: each.active for each in client.read_deployment_by_name(deployment).schedules}
    except ObjectNotFound:
        return {}


def _flow(entrypoint: str) -> str:
    """Return the name of the flow, read from its source without importing it."""
    try:
        from_root = str(ROOT / entrypoint) if ":" in entrypoint else entrypoint
        return str(load_flow_arguments_from_entrypoint(from_root, ["name"])["name"])
    except (ImportError, OSError, ValueError) as error:
        raise StepFailure(
            f"prefect.yaml names {entrypoint}, which is not a flow ({error}).", "Fix it there."
        ) from error


def _deploy(project: dict[str, Any]) -> None:
    """Deploy with Prefect's own command, so that prefect.yaml means what Prefect's documentation says."""
    environment = {"EFFREASON_DIRECTORY": str(Path.cwd()), **os.environ, "PREFECT_PLUGINS_ENABLED": "false"}
    with TemporaryDirectory() as folder:
        file = Path(folder) / "prefect.yaml"
        file.write_text(yaml.safe_dump(project, sort_keys=False), encoding="utf-8")
        command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(file)]
        told = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if told.returncode:
        raise StepFailure("Prefect refused prefect.yaml.", f"Fix what it reports:\n{told.stdout}{told.stderr}")
