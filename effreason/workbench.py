"""What a step is handed besides its spec: a scratch folder, the store to read from, and someone to tell."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import Field

from effreason.artifacts import Manifest
from effreason.choices import Price, Sharding
from effreason.errors import StepFailure
from effreason.frozen import Frozen
from effreason.progress import Reporter, quiet
from effreason.specs import Address
from effreason.store import Store


class Turn(Frozen):
    """The resources that a step was given. Made by `tasks.running.launching`; read by `provenance`."""

    gpus: float | None = None
    """GPUs given to the step; fractions are summed; None where its launcher does not know."""
    began: datetime = Field(default_factory=lambda: datetime.now(UTC))
    """The time when it got them."""


class Runtime(Frozen):
    """The runtime settings of a step on this machine. They change speed, not meaning, so they are in no fingerprint."""

    threads: int | None = None
    """CPU threads of one step; None divides the cores among the concurrent steps."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    processes: int = 1
    """Processes of one training run."""
    sharding: Sharding = "ddp"
    report_to: tuple[str, ...] = ()
    """Trackers that get the metrics of every training step: tensorboard, wandb, mlflow, trackio."""
    price: Price | None = None
    """The price of the machine, for the costs in the report."""
    turn: Turn | None = None
    """The turn of the step; None for one that is started by hand."""


@dataclass(frozen=True)
class Workbench:
    """The surroundings of a step. Made by `steps.produce` or a test; read by every step."""

    store: Store
    scratch: Path
    """An empty folder for whatever the step needs; removed when it ends."""
    runtime: Runtime = Runtime()
    tell: Reporter = quiet
    stopping: threading.Event = field(default_factory=threading.Event)
    """An event that is set when the step should save a checkpoint and leave (SIGTERM)."""

    @property
    def output(self) -> Path:
        """The folder whose files become the artifact."""
        folder = self.scratch / "output"
        folder.mkdir(exist_ok=True)
        return folder

    def read(self, address: Address, only: Sequence[str] | None = None) -> tuple[Manifest, Path]:
        """Fetch an upstream artifact: its manifest, and a folder with its files."""
        manifest = self.store.find(address)
        if manifest is None:
            raise StepFailure(
                f"The artifact {address} that this step builds on is not in the store.",
                "Run the whole experiment, which makes it first.",
            )
        return manifest, self.store.fetch(manifest, self.scratch / "input" / address, only)
