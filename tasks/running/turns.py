"""Which step may run, and with what share of the machine: its own cores and its own GPUs.

First come, first served, among all flow runs, workers and users of the machine; `effreason.leasing` keeps the queue. A
step that loads no model takes its part of the cores, and so does every step where there is no GPU.
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
"""Steps side by side that an experiment gets unasked on a machine without a GPU."""


@dataclass(frozen=True)
class Share:
    """What one step has of the machine. Made by `Turns`; read by the launchers."""

    devices: tuple[str, ...]
    """Its GPUs, by the names that NVIDIA gives them; empty for a step on the cores."""
    environment: Mapping[str, str]
    """To be set in the step's process, so that it sees these GPUs alone."""
    descriptors: tuple[int, ...]
    """To be inherited by the step's process: the share stays taken until every process that has them has ended."""
    gpus: float | None = None
    """Parts of GPUs, added up; None where nobody has counted."""


class Turns:
    """The turns of one flow run, shared by the threads of its tasks."""

    def __init__(
        self, resources: Resources, experiment: str = "", flow_run: str = "", occupied: Occupied = never
    ) -> None:
        """`occupied` says how many steps run on a GPU; where these are more than lease it, their end is waited for.

        Raises:
            UserError: the machine has too few GPUs for one training.
        """
        self._gpus = [] if resources.device == "cpu" else visible_gpus()
        # Of each GPU that is large enough, what one step takes.
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
        """Wait for a turn of the step, which `label` names to people.

        `explain` is told, once a flow run, if others have for long what is waited for.

        Raises:
            Stopped: all is over.
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
        """Give no more turns, and tell whoever has one to end."""
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
        """Numbers of processes are not unique among containers."""
        return (holder.process, holder.flow_run) == (os.getpid(), self._flow_run)


def runtime_of(resources: Resources, threads: int) -> Runtime:
    """How every step of a flow run runs; `threads` of each process where the experiment says nothing of them."""
    return Runtime(
        threads=resources.threads or threads,
        device=resources.device,
        processes=resources.processes,
        sharding=resources.sharding,
        report_to=resources.report_to,
        price=resources.price,
    )


def usable_cores() -> int:
    """Those that this process may use, where the system tells them from those that the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a number without a name, as in containers
        return str(os.getuid())
