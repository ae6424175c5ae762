"""Resume runs whose process has died: each continues in a new process with the steps it has left.

Prefect's worker reports the crash of a run that it started itself, and knows nothing of the runs of the worker before
it. So beside each worker, `infra.housekeeping` looks for

- runs that are marked Crashed, by whomever, unless their process is alive: a server that was away for long takes a run
  that it has not heard from for dead. Whether the process of another host is alive cannot be seen from here, so it is
  given time to say so (`tasks.supervision.cancelling`);
- runs that this machine began and that no process of it works for;
- runs that a worker of ours was about to begin and did not. Other work pools have their own time limits, for example to
  create a node of a cluster first.

Such a run is scheduled again under its own run ID, with a growing delay, and finds in the store what it has already
done. Several watchers may look at once; one that finds that another was quicker leaves the run to it.
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
from prefect.client.schemas.objects import FlowRun, State, StateType, TaskRun
from prefect.states import Crashed, Scheduled

from infra.registration import POOL
from infra.zombies import TAG
from tasks.supervision.owner import LABEL, Owner

T = TypeVar("T")

MOST = 20
"""The largest number of times that one run is resumed: a run that crashes that often has a fault of its own."""
TIMES = f"{LABEL}taken-up"
LATEST = timedelta(hours=1)
"""The age of a crash after which it is not resumed: nobody expects an old run to start again."""
CONTESTING = timedelta(seconds=30)
"""The time given to a live process to contest a crash: far more than it takes, since it looks every 2 s and may have to
wait for a server that was away."""
BEGINNING = timedelta(seconds=120)
"""The time given to a pending run to begin: far more than a worker of ours takes."""
SETTLING = timedelta(seconds=20)
"""The age from which the owner of a running run counts: longer than a run takes to name its process, before which its
last owner is named."""
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=2), timedelta(seconds=60)
OPEN = (StateType.PENDING, StateType.RUNNING)


def resume(client: SyncPrefectClient) -> Iterator[str]:
    """Schedule dead runs again, and yield a sentence on each."""
    for run in _runs(client):
        if not _is_dead(run, datetime.now(UTC)):
            continue
        tasks = _unfinished_tasks(client, run)
        if _has_changed(client, run):
            continue
        times = _times(run)
        begins = datetime.now(UTC) + _pause(times)
        again: State[None] = Scheduled(
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
    """Return all items that the server has; `page` returns about 200 at a time, from an offset on."""
    found: list[T] = []
    while told := page(len(found)):
        found += told
    return found


def _has_changed(client: SyncPrefectClient, run: FlowRun) -> bool:
    """Return whether the state has changed since, because the run has reported that it is alive or another watcher was
    quicker.
    """
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
    """Return whether `so` holds for the owner of the run; False if the run does not name its owner."""
    try:
        return so(Owner.of(run.labels))
    except KeyError:
        return False


def _times(run: FlowRun) -> int:
    """Return how often the run has been resumed."""
    return int(run.labels.get(TIMES, 0))


def _pause(times: int) -> timedelta:
    return min(FIRST_PAUSE * (1 << times), LONGEST_PAUSE)
