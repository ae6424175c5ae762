"""The turns of steps: which step may run, and with what share of the machine's cores and GPUs.

Turns are first come, first served among all flow runs, workers and users of the machine; `effreason.leasing` keeps the
queue. A step that loads no model takes a part of the cores, and so does every step on a machine without a GPU.
"""

import os
import pwd
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from effreason.errors import UserError
from effreason.experiment import Resources
from effreason.leasing.allotting import ROUNDING
from effreason.leasing.device_queue import DeviceQueue, Granted, Occupied, never
from effreason.leasing.devices import visible_gpus
from effreason.leasing.folder import leases_folder
from effreason.leasing.lease_table import LeaseTable
from effreason.leasing.records import CORES, Claim, Holder, Ticket
from effreason.planning.layout import gpus_of, part_of_gpu
from effreason.specs import Spec
from effreason.workbench import Runtime
from tasks.running.concurrency import ConcurrencyLimit
from tasks.running.process import Stopped

MOST_ON_CPUS = 4
"""Default limit on concurrent steps of an experiment on a machine without a GPU."""


@dataclass(frozen=True)
class Share:
    """One step's share of the machine. Made by `Turns`; read by the launchers."""

    devices: tuple[str, ...]
    """GPUs of the step, by NVIDIA's names; empty for a step on the cores."""
    environment: Mapping[str, str]
    """Variables to set in the step's process, so that it sees only these GPUs."""
    descriptors: tuple[int, ...]
    """File descriptors for the step's process to inherit: the share stays taken until every process that holds them has
    ended."""
    gpus: float | None = None
    """Sum of the parts of GPUs; None if unknown."""


class Turns:
    """The turns of one flow run, shared by the threads of its tasks."""

    def __init__(
        self, resources: Resources, experiment: str = "", flow_run: str = "", occupied: Occupied = never
    ) -> None:
        """Prepare the turns; `occupied` counts the steps on a GPU, whose end is waited for if they exceed its leases.

        Raises:
            UserError: the machine has too few GPUs for one training run.
        """
        self._gpus = [] if resources.device == "cpu" else visible_gpus()
        # The part of each sufficiently large GPU that one step takes.
        self._parts = {gpu.uuid: part for gpu in self._gpus if (part := part_of_gpu(gpu.memory, resources)) <= 1}
        self._memory_gib = resources.gpu_memory_gib
        if self._gpus:
            self._refuse_more_than_there_are(resources.processes)
            together = sum(int(1 / part + ROUNDING) for part in self._parts.values()) // resources.processes
        else:
            together = min(usable_cores(), MOST_ON_CPUS) // resources.processes
        self._limit = ConcurrencyLimit(resources.parallel)
        self.stopping = self._limit.stopping
        self._side_by_side = resources.parallel or max(1, together)
        self.runtime = runtime_of(resources, max(1, usable_cores() // (self._side_by_side * resources.processes)))
        self._experiment = experiment
        self._flow_run = flow_run
        self._table = LeaseTable(leases_folder())
        self._queue = DeviceQueue(self._table, occupied)
        self._explained = False

    @contextmanager
    def take(self, label: str, spec: Spec, explain: Callable[[str], None] = lambda sentence: None) -> Iterator[Share]:
        """Wait for a turn of the step, and hold its share for the block; `label` names the step to people.

        `explain` is called at most once per flow run, if others hold the devices for long.

        Raises:
            Stopped: the run has been stopped.
            UserError: the machine has too few GPUs for the step.
        """
        ticket = Ticket(holder=self._holder(label), claim=self._claim(spec))
        with (
            self._limit.slot(),
            self._queue.take(ticket, self.stopping, lambda: self._explain(ticket, explain)) as granted,
        ):
            if granted is None:
                raise Stopped
            yield self._share(granted)

    def stop(self) -> None:
        """Give no more turns, and tell the running steps to end."""
        self._limit.stop()
        self._queue.wake()

    def wait_until_idle(self) -> None:
        """Return when every turn has been given back."""
        self._limit.wait_until_empty()

    def _claim(self, spec: Spec) -> Claim:
        count = gpus_of(spec, self.runtime.processes)
        if count and self._gpus:
            self._refuse_more_than_there_are(count)
            return Claim(count=count, parts=self._parts)
        of_the_machine = usable_cores() / (os.cpu_count() or 1)
        return Claim(parts={CORES: min(1.0, of_the_machine) / self._side_by_side})

    def _refuse_more_than_there_are(self, count: int) -> None:
        if count > len(self._parts):
            large = f" of {self._memory_gib:g} GiB" if self._memory_gib else ""
            raise UserError(
                f"One step needs {count} GPUs{large} at once, and {len(self._parts)} can be used here.",
                "Lower `processes` or `gpu_memory_gib` in [runtime] or the generation engine's `tensor_parallel`, "
                "or list more GPUs in CUDA_VISIBLE_DEVICES.",
            )

    def _holder(self, label: str) -> Holder:
        return Holder(
            user=_user(), process=os.getpid(), experiment=self._experiment, step=label, flow_run=self._flow_run
        )

    def _share(self, granted: Granted) -> Share:
        devices = tuple(gpu.uuid for gpu in self._gpus if gpu.uuid in granted.parts)
        hides = devices or self._gpus or self.runtime.device == "cpu"
        environment = {"CUDA_VISIBLE_DEVICES": ",".join(devices)} if hides else {}
        gpus = sum(granted.parts[device] for device in devices)
        return Share(devices, environment, (granted.lock.descriptor,), gpus)

    def _explain(self, ticket: Ticket, explain: Callable[[str], None]) -> None:
        wanted = ticket.claim.parts
        others = [
            f"{' and '.join(lease.parts)} ({lease.holder.user}: {lease.holder.experiment} {lease.holder.step})"
            for lease in self._table.leases()
            if wanted.keys() & lease.parts.keys() and not self._ours(lease.holder)
        ]
        if others and not self._explained:
            self._explained = True
            explain(f"Waiting for others to release {', '.join(others)}; `effreason gpus` shows the queue.")

    def _ours(self, holder: Holder) -> bool:
        """Return whether the holder is of this flow run; process IDs alone are not unique across containers."""
        return (holder.process, holder.flow_run) == (os.getpid(), self._flow_run)


def runtime_of(resources: Resources, threads: int) -> Runtime:
    """Return the runtime of every step of a flow run; `threads` per process is the default of the experiment's own."""
    return Runtime(
        threads=resources.threads or threads,
        device=resources.device,
        processes=resources.processes,
        sharding=resources.sharding,
        report_to=resources.report_to,
        price=resources.price,
    )


def usable_cores() -> int:
    """Return the number of cores that this process may use, or of all cores on systems without CPU affinity."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a user ID without a name, as in containers
        return str(os.getuid())
