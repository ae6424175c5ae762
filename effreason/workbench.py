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
    """What a step was given of the machine. Made by `tasks.running.launching`; read by `provenance`."""

    gpus: float | None = None
    """Of which it has so many, parts added up; None where its launcher does not know."""
    began: datetime = Field(default_factory=lambda: datetime.now(UTC))
    """When it got them."""


class Runtime(Frozen):
    """How a step runs on this machine. Changes speed, not meaning, so it is in no fingerprint."""

    threads: int | None = None
    """CPU threads of one step; None divides the cores among the steps that run side by side."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    processes: int = 1
    """That make one training together."""
    sharding: Sharding = "ddp"
    report_to: tuple[str, ...] = ()
    """Trackers that get the metrics of every training step: tensorboard, wandb, mlflow, trackio."""
    price: Price | None = None
    """For what the report says of costs."""
    turn: Turn | None = None
    """None for a step that is started by hand."""


@dataclass(frozen=True)
class Workbench:
    """Made by `steps.produce` or a test; read by every step."""

    store: Store
    scratch: Path
    """An empty folder for whatever the step needs; removed when it ends."""
    runtime: Runtime = Runtime()
    tell: Reporter = quiet
    stopping: threading.Event = field(default_factory=threading.Event)
    """Set when the step should save a checkpoint and leave (SIGTERM)."""

    @property
    def output(self) -> Path:
        """The folder whose files become the artifact."""
        folder = self.scratch / "output"
        folder.mkdir(exist_ok=True)
        return folder

    def read(self, address: Address, only: Sequence[str] | None = None) -> tuple[Manifest, Path]:
        """An upstream artifact: its manifest, and a folder with its files."""
        manifest = self.store.find(address)
        if manifest is None:
            raise StepFailure(
                f"The artifact {address} that this step builds on is not in the store.",
                "Run the whole experiment, which makes it first.",
            )
        return manifest, self.store.fetch(manifest, self.scratch / "input" / address, only)
