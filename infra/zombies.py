"""A run whose worker and process were killed together is marked as crashed by the server, since nobody else is left.

A run of a deployment says every 30 s that it lives, if its environment says so: by itself Prefect has it say so every
180 s, and the automation would take every well run for dead. `infra.registration` and the image of pods see to it. One
that stops saying so and has not ended has crashed. Without this it would stay "Running" and hold its concurrency limit
for ever.
"""

from prefect.client.orchestration import SyncPrefectClient
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

NAME = "effreason: a run without heartbeat has crashed"
TAG = "effreason"
"""On each of our deployments: other people's runs on the same server are left alone."""
HEARTBEAT_SECONDS = 30
"""The least that Prefect takes."""
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
    """Make the automation, or bring the one that is there up to date; what was done.

    One that is as it should be is not touched: to write it is to make the server forget which runs it waits for.
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
