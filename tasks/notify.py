"""Somebody is told when a flow run has failed, by a notification block of Prefect.

EFFREASON_NOTIFY names it, such as `slack-webhook/operations`: the kind of block and the name that it was saved under.
Blocks of that kind speak Apprise, so that one address reaches mail, chat or a pager.
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
    """A hook of a flow: what failed and why."""
    name = os.environ.get(NOTIFY)
    if not name:
        return
    block = cast(NotificationBlock, Block.load(name))
    where = url_for("flow-run", obj_id=flow_run.id) or f"flow run {flow_run.id}"
    told = f"{state.message}\n{STANDING}\n{where}"
    block.notify(told, f"{flow.name} {flow_run.name}: {state.name}")  # type: ignore[unused-coroutine]  # no loop runs
