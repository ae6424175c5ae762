"""A run whose process has died goes on, in a process of its own, with what it has left to do.

Prefect's worker says of a run that it started that it has crashed, and knows nothing of the runs of the worker before
it. So beside each worker (`infra.housekeeping`) somebody looks for

- runs that have crashed, by whoever's word, unless their process lives: a server that was away for long takes one
  that it has not heard of for dead;
- runs that this machine began and that no process of it works for;
- runs that a worker of ours was about to begin, and has not. Other work pools have their own patience, such as that
  for a node of a cluster that has first to be made.

Such a run is scheduled again under its own number, a little later each time, and finds in the store what it
had done.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.states import Crashed, Scheduled

from infra.registration import POOL
from infra.zombies import TAG
from tasks.supervision.owner import LABEL, Owner

MOST = 20
"""Times that one run is taken up: what crashes so often crashes for a reason of its own."""
TIMES = f"{LABEL}taken-up"
LATEST = timedelta(hours=1)
"""Since its end: nobody wants to see an old crash rise again."""
BEGINNING = timedelta(seconds=120)
"""Far more than a worker of ours takes from the word that a run is about to begin to its beginning."""
SETTLING = timedelta(seconds=20)
"""More than a run takes from its beginning until it says who works for it; before that its last owner stands there."""
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=2), timedelta(seconds=60)
OPEN = (StateType.PENDING, StateType.RUNNING)


def resume(client: SyncPrefectClient) -> Iterator[str]:
    """Schedule dead runs again, and say which."""
    for run in client.read_flow_runs(flow_run_filter=_of_ours(*OPEN, StateType.CRASHED)):
        if not _is_dead(run, datetime.now(UTC)):
            continue
        for task in client.read_task_runs(
            flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run.id])), task_run_filter=_unfinished()
        ):
            client.set_task_run_state(task.id, Crashed(message="Its process is gone."), force=True)
        times = _times(run)
        begins = datetime.now(UTC) + _pause(times)
        again = Scheduled(name="Resuming", scheduled_time=begins, message="Its process is gone; it goes on in another.")
        client.update_flow_run_labels(run.id, {TIMES: times + 1})
        client.set_flow_run_state(run.id, again, force=True)
        yield f"The process of {run.name} is gone; it begins again at {begins.astimezone():%H:%M:%S}."


def _of_ours(*kinds: StateType) -> FlowRunFilter:
    return FlowRunFilter(
        tags=FlowRunFilterTags(all_=[TAG]),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(kinds))),
    )


def _unfinished() -> TaskRunFilter:
    return TaskRunFilter(state=TaskRunFilterState(type=TaskRunFilterStateType(any_=list(OPEN))))


def _is_dead(run: FlowRun, now: datetime) -> bool:
    if run.deployment_id is None or run.state is None or _times(run) >= MOST:
        return False
    age = now - run.state.timestamp
    match run.state.type:
        case StateType.CRASHED:
            return age < LATEST and not _owner_is(run, Owner.is_alive)
        case StateType.RUNNING:
            return _owner_is(run, Owner.is_dead) and age > SETTLING
        case _:
            return run.work_pool_name == POOL and age > BEGINNING


def _owner_is(run: FlowRun, so: Callable[[Owner], bool]) -> bool:
    """False of a run that has not said whose it is."""
    try:
        return so(Owner.of(run.labels))
    except KeyError:
        return False


def _times(run: FlowRun) -> int:
    """That it has been taken up."""
    return int(run.labels.get(TIMES, 0))


def _pause(times: int) -> timedelta:
    return min(FIRST_PAUSE * 2**times, LONGEST_PAUSE)
