"""What a Prefect server has to know before it can run anything of ours.

the work pool           made unless it is there
the deployments         those of prefect.yaml, as it has them; but a schedule that is there stays on or off
the zombie automation   see `infra.zombies`
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import DeploymentSchedule
from prefect.exceptions import ObjectAlreadyExists
from prefect.workers.process import ProcessWorker

from effreason.errors import StepFailure
from infra.zombies import ensure_automation

ROOT = Path(__file__).parent.parent
POOL = "effreason"


class ScheduleKey(NamedTuple):
    """One schedule, whatever number it is given when its deployment is registered again."""

    deployment: UUID
    slug: str | None


def register() -> Iterator[str]:
    """Do it, and say what was done. Raises `StepFailure` where Prefect refuses prefect.yaml."""
    with get_client(sync_client=True) as client:
        yield f"The work pool {POOL} {_ensure_pool(client)}."
        before = {key: schedule.active for key, schedule in _schedules(client).items()}
        _deploy()
        for key, schedule in _schedules(client).items():
            if before.get(key, schedule.active) != schedule.active:
                client.update_deployment_schedule(key.deployment, schedule.id, active=before[key])
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


def _schedules(client: SyncPrefectClient) -> Mapping[ScheduleKey, DeploymentSchedule]:
    return {
        ScheduleKey(deployment.id, schedule.slug): schedule
        for deployment in client.read_deployments()
        for schedule in deployment.schedules
    }


def _deploy() -> None:
    """By Prefect's own command, so that prefect.yaml means what Prefect's documentation says."""
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    environment = {"EFFREASON_DIRECTORY": str(Path.cwd()), **os.environ, "PREFECT_PLUGINS_ENABLED": "false"}
    told = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if told.returncode:
        raise StepFailure("Prefect refused prefect.yaml.", f"Mend what it says:\n{told.stdout}{told.stderr}")
