"""A run whose process has died goes on, in a process of its own, with what it has left to do.

Prefect's worker says of a run that it started that it has crashed, and knows nothing of the runs of the worker before
it. So beside each worker (`infra.housekeeping`) somebody looks for

- runs that have crashed, by whoever's word, unless their process lives: a server that was away for long takes one
  that it has not heard of for dead. Of a run of another host that is not to be seen from here, so its process is given
  the time to say that it lives (`tasks.supervision.cancelling`);
- runs that this machine began and that no process of it works for;
- runs that a worker of ours was about to begin, and has not. Other work pools have their own patience, such as that
  for a node of a cluster that has first to be made.

Such a run is scheduled again under its own number, a little later each time, and finds in the store what it
had done. Several may look at once; who finds that another was quicker leaves the run to that one.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TypeVar

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
from prefect.client.schemas.objects import FlowRun, StateType, TaskRun
from prefect.states import Crashed, Scheduled

from infra.registration import POOL
from infra.zombies import TAG
from tasks.supervision.owner import LABEL, Owner

T = TypeVar("T")

MOST = 20
"""Times that one run is taken up: what crashes so often crashes for a reason of its own."""
TIMES = f"{LABEL}taken-up"
LATEST = timedelta(hours=1)
"""Since its end: nobody wants to see an old crash rise again."""
CONTESTING = timedelta(seconds=30)
"""Far more than a process that lives takes to say so: it looks every 2 s, and may wait for a server that was away."""
BEGINNING = timedelta(seconds=120)
"""Far more than a worker of ours takes from the word that a run is about to begin to its beginning."""
SETTLING = timedelta(seconds=20)
"""More than a run takes from its beginning until it says who works for it; before that its last owner stands there."""
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=2), timedelta(seconds=60)
OPEN = (StateType.PENDING, StateType.RUNNING)


def resume(client: SyncPrefectClient) -> Iterator[str]:
    """Schedule dead runs again, and say which."""
    for run in _runs(client):
        if not _is_dead(run, datetime.now(UTC)):
            continue
        tasks = _unfinished_tasks(client, run)
        if _has_changed(client, run):
            continue
        times = _times(run)
        begins = datetime.now(UTC) + _pause(times)
        again = Scheduled(
            name="Resuming", scheduled_time=begins, message="Its process is gone; it continues in another."
        )
        client.update_flow_run_labels(run.id, {TIMES: times + 1})
        client.set_flow_run_state(run.id, again, force=True)
        for task in tasks:
            client.set_task_run_state(task.id, Crashed(message="Its process is gone."), force=True)
        yield f"The process of {run.name} is gone; it restarts at {begins.astimezone():%H:%M:%S}."


def _runs(client: SyncPrefectClient) -> list[FlowRun]:
    ours = _of_ours(*OPEN, StateType.CRASHED)
    return _all(lambda offset: client.read_flow_runs(flow_run_filter=ours, offset=offset))


def _unfinished_tasks(client: SyncPrefectClient, run: FlowRun) -> list[TaskRun]:
    its = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
    open_ones = TaskRunFilter(state=TaskRunFilterState(type=TaskRunFilterStateType(any_=list(OPEN))))
    return _all(lambda offset: client.read_task_runs(flow_run_filter=its, task_run_filter=open_ones, offset=offset))


def _all(page: Callable[[int], list[T]]) -> list[T]:
    """What the server has in all, of which it tells some 200 at once: those from an offset on."""
    found: list[T] = []
    while told := page(len(found)):
        found += told
    return found


def _has_changed(client: SyncPrefectClient, run: FlowRun) -> bool:
    """Whether its state is another one by now, as where it says that it lives or somebody else was quicker."""
    state = client.read_flow_run(run.id).state
    return run.state is None or state is None or state.id != run.state.id


def _of_ours(*kinds: StateType) -> FlowRunFilter:
    return FlowRunFilter(
        tags=FlowRunFilterTags(all_=[TAG]),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(kinds))),
    )


def _is_dead(run: FlowRun, now: datetime) -> bool:
    if run.deployment_id is None or run.state is None or _times(run) >= MOST:
        return False
    age = now - run.state.timestamp
    match run.state.type:
        case StateType.CRASHED:
            contestable = age < CONTESTING and _owner_is(run, Owner.is_elsewhere)
            return age < LATEST and not contestable and not _owner_is(run, Owner.is_alive)
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
