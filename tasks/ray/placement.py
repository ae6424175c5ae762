"""Steps on a Ray cluster, with `engine = "ray"`. See docs/scaling.md.

The flow and its tasks stay in this process, with Prefect, the display, the budget and the handling of Cancel; only the
order of a step goes to a node, and the lines of its output come back. Ray chooses the node, in turn with everything
else on the cluster, and assigns the GPUs; the leases of `effreason.leasing` are not used.
"""

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

from effreason.choices import FolderHome, Ray
from effreason.errors import EffreasonError, StepFailure, UserError
from effreason.experiment import Resources
from effreason.order import Order
from effreason.planning.layout import gpus_of
from effreason.progress import Message, Progress
from effreason.specs import Spec
from tasks.ray.actor_pool import ActorPool
from tasks.ray.cluster import Claim, Cluster, RemoteActor, lives
from tasks.ray.step_actor import Mark, Placed
from tasks.running.concurrency import ConcurrencyLimit
from tasks.running.launchers import Running, Work
from tasks.running.process import Line, Stopped
from tasks.running.turns import Share, runtime_of

PATIENCE_SECONDS = 30.0
"""The time after which a run without a single actor reports what it waits for."""


@dataclass(frozen=True, kw_only=True)
class ActorShare(Share):
    """One step's share of a node. Made by `ClusterTurns`; read by `ActorLauncher`."""

    actor: RemoteActor


class ClusterTurns:
    """The turns of one flow run on a cluster, as `tasks.running.turns.Turns` is for one machine."""

    def __init__(self, resources: Resources, engine: Ray, arguments: Sequence[str]) -> None:
        """Join the cluster; `arguments` follow the interpreter of a node if steps run as processes.

        Raises:
            UserError: there is no cluster, or no node has enough GPUs for one training run.
        """
        self._resources = resources
        self._engine = engine
        self._limit = ConcurrencyLimit(resources.parallel)
        self.stopping = self._limit.stopping
        self.runtime = runtime_of(resources, engine.cores)
        self._cluster = Cluster(engine)
        self._most_gpus = self._cluster.most_gpus()
        self._has_gpus = resources.device == "cuda" or (resources.device == "auto" and self._most_gpus > 0)
        if self._has_gpus:
            self._refuse_more_than_a_node_has(resources.processes)
        self._pool = ActorPool(lambda claim: self._cluster.actor(claim, resources.launcher, arguments))
        self._explained = False

    @contextmanager
    def take(self, label: str, spec: Spec, explain: Callable[[str], None] = lambda sentence: None) -> Iterator[Share]:
        """Wait for an actor for the step, and hold it for the block.

        `explain` is called at most once per flow run, if it has no actor at all for long.

        Raises:
            Stopped: the run has been stopped.
            UserError: no node has enough GPUs.
        """
        claim = self._claim(spec)
        with self._limit.slot(), self._pool.actor(claim, self._watch(claim, explain)) as actor:
            yield ActorShare(actor.placed().devices, {}, (), claim.gpus, actor=actor)

    def stop(self) -> None:
        """Give no more turns, and tell the running steps to end."""
        self._limit.stop()

    def wait_until_idle(self) -> None:
        """Return when every turn has been given back, and leave the cluster."""
        self._limit.wait_until_empty()
        self._cluster.leave()

    def _claim(self, spec: Spec) -> Claim:
        count = gpus_of(spec, self.runtime.processes) if self._has_gpus else 0
        self._refuse_more_than_a_node_has(count)
        processes = self.runtime.processes if spec.step == "train" else 1
        gpus = count * self._resources.gpu_share if count == 1 else float(count)
        return Claim(gpus=gpus, cores=self._engine.cores * processes)

    def _refuse_more_than_a_node_has(self, count: int) -> None:
        """Raise `UserError` if no node has so many GPUs, or had when the flow began, since a lost node may come back.

        With `device = "cuda"` a step waits for larger nodes instead.
        """
        if count > self._most_gpus and self._resources.device == "auto":
            raise UserError(
                f"One step needs {count} GPUs of one node, but no node of the Ray cluster has more than "
                f"{self._most_gpus}.",
                "Lower `processes` in [runtime] or the generation engine's `tensor_parallel`, "
                'or set device = "cuda" to wait.',
            )

    def _watch(self, claim: Claim, explain: Callable[[str], None]) -> Callable[[], None]:
        since = time.monotonic()

        def watch() -> None:
            if self.stopping.is_set():
                raise Stopped
            if not (self._explained or self._pool.taken) and time.monotonic() - since > PATIENCE_SECONDS:
                self._explained = True
                explain(
                    f"Waiting for {_worded(claim)} on one node of the Ray cluster, which has {self._cluster.free()}."
                )

        return watch


class ActorLauncher:
    """A launcher that runs steps as processes or containers on the node where their actor is."""

    @contextmanager
    def started(self, work: Work, share: Share) -> Iterator[Running]:
        assert isinstance(share, ActorShare)  # noqa: S101  `ClusterTurns` gives only these
        yield RunningElsewhere(replace(work, order=_for_all_nodes(work.order)), share.actor)

    def occupied(self, device: str) -> int:
        """Return 0, since Ray itself knows which GPUs it has assigned."""
        return 0


class RunningElsewhere:
    """A step that runs on a node of the cluster. Made by `ActorLauncher`."""

    def __init__(self, work: Work, actor: RemoteActor) -> None:
        self._work = work
        self._actor = actor
        self._failure: EffreasonError | None = None

    def lines(self, stopping: Event) -> Iterator[Line]:
        mark, before = Mark(secrets.token_hex(8)), self._actor.placed()
        over = False
        while not over:
            heard = self._actor.heard(self._work, mark, stopping)
            if mark.incarnation not in ("", heard.mark.incarnation):
                self._actor.good = False
                yield _moved(before, heard.placed)
            yield from heard.lines
            mark, before, over, self._failure = heard.mark, heard.placed, heard.over, heard.failure

    def failure(self) -> EffreasonError:
        return self._failure or StepFailure(f"{self._work.label} has not ended.", "Run the experiment again.")


def _for_all_nodes(order: Order) -> Order:
    """Return the order with the absolute path of its folder, as processes on nodes have other working directories."""
    if not isinstance(order.store, FolderHome):
        return order
    folder = Path(order.store.path).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return order.model_copy(update={"store": order.store.model_copy(update={"path": str(folder)})})


def _moved(before: Placed, after: Placed) -> Line:
    """Return a line that reports the move as if the step itself had written it."""
    killed = f"Its process was killed on {before.node}, which is still up, perhaps because memory ran out"
    what = killed if lives(before) else "Its node was lost"
    alarm = f"{what}; it continues on {after.node} from its last checkpoint."
    said = Message(progress=Progress(phase="load", done=0, total=0, alarm=alarm))
    return Line(said.model_dump_json(exclude_none=True), logged=False)


def _worded(claim: Claim) -> str:
    return f"{claim.gpus:g} GPUs and {claim.cores} cores"
