"""The notification of a failed flow run, by a notification block of Prefect.

EFFREASON_NOTIFY names the block, such as `slack-webhook/operations`: its type and the name under which it was saved.
Notification blocks use Apprise, so one address can reach mail, chat or a pager.
"""

import os
from typing import Any, cast

from prefect import Flow, State
from prefect.blocks.abstract import NotificationBlock
from prefect.blocks.core import Block
from prefect.client.schemas.objects import FlowRun
from prefect.utilities.urls import url_for

NOTIFY = "EFFREASON_NOTIFY"
STANDING = "The champion is unchanged, unless the run ended while promoting: check `effreason champion`."


def notify(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Send a notification of what failed and why. A hook of flows."""
    name = os.environ.get(NOTIFY)
    if not name:
        return
    block = cast(NotificationBlock, Block.load(name))
    where = url_for("flow-run", obj_id=flow_run.id) or f"flow run {flow_run.id}"
    told = f"{state.message}\n{STANDING}\n{where}"
    block.notify(told, f"{flow.name} {flow_run.name}: {state.name}")  # type: ignore[unused-coroutine]  # no loop runs
