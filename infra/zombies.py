"""The automation by which the server marks a run as crashed whose worker and process were killed together.

A run of a deployment sends a heartbeat every 30 s if its environment asks for that; `infra.registration` and the image
of pods set it. Prefect's default is 180 s, with which the automation would take every healthy run for dead. A run that
stops sending heartbeats without having ended has crashed; without the automation it would stay "Running" and hold its
concurrency limit forever.
"""

from prefect.client.orchestration import SyncPrefectClient
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

NAME = "effreason: a run without heartbeat has crashed"
TAG = "effreason"
"""The tag of each of our deployments, so that other people's runs on the same server are left alone."""
HEARTBEAT_SECONDS = 30
"""The shortest interval that Prefect accepts."""
HEARTBEAT_SETTING = "PREFECT_FLOWS_HEARTBEAT_FREQUENCY"
DEAD_AFTER_SECONDS = 3 * HEARTBEAT_SECONDS
HEARTBEAT = "prefect.flow-run.heartbeat"
ENDS = frozenset(f"prefect.flow-run.{state}" for state in ("Completed", "Failed", "Cancelled", "Crashed"))

AUTOMATION = AutomationCore(
    name=NAME,
    description="Its worker and its process were killed together, so neither could report it.",
    trigger=EventTrigger(
        posture=Posture.Proactive,
        match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
        match_related=ResourceSpecification({"prefect.resource.id": f"prefect.tag.{TAG}"}),
        for_each={"prefect.resource.id"},
        after={HEARTBEAT},
        expect={HEARTBEAT, *ENDS},
        threshold=1,
        within=DEAD_AFTER_SECONDS,
    ),
    actions=[ChangeFlowRunState(state="CRASHED", message=f"This run sent no heartbeat for {DEAD_AFTER_SECONDS} s.")],
)


def ensure_automation(client: SyncPrefectClient) -> str:
    """Create the automation or bring the existing one up to date, and return what was done.

    An automation that is up to date is not touched: writing it makes the server forget which runs it waits for.
    """
    found = client.read_automations_by_name(NAME)
    if not found:
        client.create_automation(AUTOMATION)
        return "was made"
    wanted = AUTOMATION.model_dump(include={"description", "trigger", "actions"})
    if found[0].model_dump(include=set(wanted)) == wanted:
        return "is there"
    client.update_automation(found[0].id, AUTOMATION.model_copy(update={"enabled": found[0].enabled}))
    return "was brought up to date"
