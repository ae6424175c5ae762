"""The one door to every step: a spec in, a manifest out.

Whoever calls it (a Prefect task through a process or a container, a test, a person at a prompt) gets the artifact that
is in the store, or has it made.
"""

import importlib
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from effreason.artifacts import Artifact, Manifest
from effreason.errors import StepFailure
from effreason.progress import Reporter, quiet
from effreason.provenance import provenance
from effreason.specs import Spec, TrainSpec
from effreason.store import Store
from effreason.workbench import Runtime, Workbench


def produce(
    spec: Spec,
    store: Store,
    runtime: Runtime = Runtime(),
    tell: Reporter = quiet,
    stopping: threading.Event | None = None,
) -> Manifest:
    """Return the sealed artifact that `spec` describes, making it only if the store does not hold it."""
    if (found := store.find(spec.address)) is not None:
        return found
    store = store.telling(tell)
    started = datetime.now(UTC)
    clock = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="effreason-") as scratch:
        bench = Workbench(store, Path(scratch), runtime, tell, stopping or threading.Event())
        artifact = _maker(spec)(spec, bench)
        processes = runtime.processes if isinstance(spec, TrainSpec) else 1
        circumstances = provenance(started, time.monotonic() - clock, runtime, processes)
        manifest = store.seal(spec, artifact, bench.output, circumstances)
    with suppress(StepFailure):  # old checkpoints cost some space; the sealed work is worth more
        store.clear_working(spec.address)
    return manifest


def assist(spec: Spec, store: Store, runtime: Runtime = Runtime(), stopping: threading.Event | None = None) -> None:
    """Do this process's share of a step that several processes make together, where another one seals the artifact."""
    if store.find(spec.address) is None:
        with tempfile.TemporaryDirectory(prefix="effreason-") as scratch:
            _maker(spec)(spec, Workbench(store, Path(scratch), runtime, quiet, stopping or threading.Event()))


def _maker(spec: Spec) -> Callable[[Spec, Workbench], Artifact]:
    """Return `make(spec, bench)` of the step's own module, imported only on demand: each brings its own framework."""
    module = importlib.import_module(f"effreason.steps.{spec.step}")
    make: Callable[[Spec, Workbench], Artifact] = module.make
    return make
