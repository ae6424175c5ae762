"""The metrics of all runs and workers of this machine at one address, for Prometheus: docs/observability.md.

    python -m tasks.metrics.serving            until Ctrl-C, between runs as well; a worker starts one by itself

Every process with EFFREASON_METRICS_PORT keeps a tally of its own (`tasks.metrics.tally`) and tries to listen at the
port; the one that gets it serves the tallies of all, and when it ends another takes over. Queue and leases are those of
the machine.
"""

import argparse
import errno
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import accumulate
from typing import get_args
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from effreason.errors import UserError
from effreason.leasing.devices import machine_gpus
from effreason.leasing.folder import leases_folder
from effreason.leasing.lease_table import LeaseTable
from effreason.specs import StepName
from tasks.metrics.tally import BOUNDS, Book, Durations, Kept, Outcome, Tally, tallies
from tasks.settings import METRICS_HOST, METRICS_PORT, metrics_host, metrics_port

KINDS = sorted(get_args(StepName))
OUTCOMES = get_args(Outcome)
SECONDS_BETWEEN_TRIES = 2.0
"""Interval of the attempts to listen at a port that another process has."""


class Machine(Collector):
    """The collector of all metrics, which are read anew at each scrape."""

    def collect(self) -> Iterator[Metric]:
        kept = list(tallies())
        yield from _processes(kept)
        yield from _steps([each.tally for each in kept], [each.tally for each in kept if each.live])
        yield from _devices()


def _processes(kept: Sequence[Kept]) -> Iterator[Metric]:
    for role, words in (("run", "Flow runs that are under way."), ("worker", "Workers that wait for flow runs.")):
        live = sum(each.live for each in kept if each.role == role)
        yield GaugeMetricFamily(f"effreason_{role}s", words, value=live)


def _steps(everybody: Sequence[Tally], living: Sequence[Tally]) -> Iterator[Metric]:
    outcomes = CounterMetricFamily("effreason_steps", "Finished steps, by outcome.", labels=("step", "outcome"))
    for kind in KINDS:
        for outcome in OUTCOMES:
            number = sum(tally.outcomes[kind][outcome] for tally in everybody if kind in tally.outcomes)
            outcomes.add_metric((kind, outcome), number)
    yield outcomes
    running = "Steps that have their share of the machine."
    yield _gauge("effreason_steps_running", running, lambda kind: sum(tally.running[kind] for tally in living))
    yield _histogram(everybody)
    tokens = "Generated tokens: of training runs during the run, of evaluations when they are over."
    yield _counter("effreason_generated_tokens", tokens, lambda kind: sum(tally.tokens[kind] for tally in everybody))
    gpu = "GPU-seconds of the steps that were made; parts of GPUs count as parts."
    yield _counter("effreason_gpu_seconds", gpu, lambda kind: sum(tally.gpu_seconds[kind] for tally in everybody))
    cores = "Core-seconds of the steps that were made without a GPU."
    yield _counter("effreason_core_seconds", cores, lambda kind: sum(tally.core_seconds[kind] for tally in everybody))


def _histogram(everybody: Sequence[Tally]) -> Metric:
    family = HistogramMetricFamily(
        "effreason_step_duration_seconds", "Seconds that each executed step held its devices.", labels=("step",)
    )
    for kind in KINDS:
        found = [tally.durations.get(kind, Durations()) for tally in everybody]
        buckets = [sum(numbers) for numbers in zip(*(each.buckets for each in [Durations(), *found]), strict=True)]
        ends = [*map(str, BOUNDS), "+Inf"]
        upto = list(zip(ends, map(float, accumulate(buckets)), strict=True))
        family.add_metric((kind,), buckets=upto, sum_value=sum(each.seconds for each in found))
    return family


def _devices() -> Iterator[Metric]:
    table = LeaseTable(leases_folder())
    queue, gpus = [ticket for _, ticket in table.queue()], machine_gpus()
    now = datetime.now(UTC)
    yield GaugeMetricFamily("effreason_queue_length", "Steps that wait for their share of the machine.", len(queue))
    oldest = max(((now - ticket.holder.since).total_seconds() for ticket in queue), default=0.0)
    yield GaugeMetricFamily("effreason_queue_oldest_seconds", "For how long the first of the queue has waited.", oldest)
    leased = dict.fromkeys((gpu.uuid for gpu in gpus), 0.0)
    for lease in table.leases():
        for device, part in lease.parts.items():
            leased[device] = leased.get(device, 0.0) + part
    yield _by_device("effreason_device_leased_ratio", "What of a device steps have; `cpu` is the cores.", leased)
    busy = {gpu.uuid: gpu.utilisation / 100 for gpu in gpus if gpu.utilisation is not None}
    yield _by_device("effreason_gpu_busy_ratio", "Time in which something ran, as the driver last read it.", busy)
    used = {gpu.uuid: gpu.memory_used for gpu in gpus if gpu.memory_used is not None}
    yield _by_device("effreason_gpu_memory_used_bytes", "Memory of a GPU that is in use.", used)
    whole = {gpu.uuid: gpu.memory for gpu in gpus if gpu.memory is not None}
    yield _by_device("effreason_gpu_memory_bytes", "Memory of a GPU.", whole)


def _counter(name: str, words: str, value: Callable[[str], float]) -> Metric:
    family = CounterMetricFamily(name, words, labels=("step",))
    for kind in KINDS:
        family.add_metric((kind,), value(kind))
    return family


def _gauge(name: str, words: str, value: Callable[[str], float]) -> Metric:
    family = GaugeMetricFamily(name, words, labels=("step",))
    for kind in KINDS:
        family.add_metric((kind,), value(kind))
    return family


def _by_device(name: str, words: str, values: "dict[str, float] | dict[str, int]") -> Metric:
    family = GaugeMetricFamily(name, words, labels=("device",))
    for device, value in values.items():
        family.add_metric((device,), value)
    return family


# ------------------------------------------------------------------------------------------------------- serving


@contextmanager
def serving(port: int, tell: Callable[[str], None] = lambda sentence: None) -> Iterator[None]:
    """Serve during the block, or stand by while another process has the port; `tell` is told which of the two.

    Raises:
        UserError: it is impossible to listen at this address.
    """
    over = threading.Event()
    arguments = (port, _listening(port), over, tell)
    thread = threading.Thread(target=_serve, args=arguments, name="metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(SECONDS_BETWEEN_TRIES)


def _serve(port: int, server: WSGIServer | None, over: threading.Event, tell: Callable[[str], None]) -> None:
    if server is None:
        tell(f"Metrics: port {port} is in use; waiting until it is free.")
    while server is None and not over.wait(SECONDS_BETWEEN_TRIES):
        server = _listening(port)
    if server is not None:
        tell(f"Metrics: http://{metrics_host()}:{port}/metrics")
        over.wait()
        server.shutdown()
        server.server_close()


def _listening(port: int) -> WSGIServer | None:
    """Return a server that listens at the port; None if another process has it. Raises as `serving` does."""
    registry = CollectorRegistry()
    registry.register(Machine())
    try:
        server, _ = start_http_server(port, metrics_host(), registry)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return None
        raise UserError(
            f"Metrics cannot be served at {metrics_host()}:{port} ({error.strerror}).",
            f"Set {METRICS_HOST} to an address of this machine, and {METRICS_PORT} to a port that you may listen on.",
        ) from error
    return server


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tasks.metrics.serving", description="Serve the metrics of this machine."
    )
    parser.add_argument(
        "--beside-worker", type=int, metavar="PID", help="report for the worker with this process id, and exit with it"
    )
    options = parser.parse_args(arguments)
    try:
        _stand(options.beside_worker)
    except UserError as error:
        print(f"metrics: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _stand(worker: int | None) -> None:
    """Serve until Ctrl-C, or for as long as the worker with this process ID is the parent."""
    port = metrics_port()
    if port is None:
        raise UserError(f"{METRICS_PORT} is not set.", "Set it to a port, such as 9464.")
    with serving(port, lambda sentence: print(sentence, flush=True)), suppress(KeyboardInterrupt):
        if worker is not None:
            Book("worker")  # held until this process ends
        while worker is None or os.getppid() == worker:
            time.sleep(1)


if __name__ == "__main__":
    sys.exit(main())
