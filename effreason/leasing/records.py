"""What tickets and leases say, for the programs that share the devices and for the people who ask why they wait."""

from datetime import UTC, datetime
from typing import Annotated, Self

from pydantic import Field, model_validator

from effreason.frozen import Frozen

CORES = "cpu"
"""The name of the processor as a device, of which steps without a GPU take parts."""

Part = Annotated[float, Field(gt=0, le=1)]
"""A fraction of one device: 1 is all of it, for this step alone."""


class Holder(Frozen):
    """The step that waits for devices or has them. Made by `tasks.running.turns`; read by people."""

    user: str
    process: int
    """The number of the process that waits, or that launched the step."""
    experiment: str
    step: str
    flow_run: str
    since: datetime = Field(default_factory=lambda: datetime.now(UTC))
    """The time when the step came to wait; on a lease, when it got its devices."""


class Claim(Frozen):
    """A number of these devices, all at once."""

    count: int = Field(1, ge=1)
    parts: dict[str, Part]
    """The fraction that would be taken of each device, by its name; the preferred ones first."""

    @model_validator(mode="after")
    def can_be_met(self) -> Self:
        if self.count > len(self.parts):
            raise ValueError(f"{self.count} devices cannot be taken out of {len(self.parts)}.")
        return self


class Ticket(Frozen):
    """A step that waits. Made by `DeviceQueue`; read by everybody who waits behind it."""

    holder: Holder
    claim: Claim


class Lease(Frozen):
    """A step that has devices. Made by `DeviceQueue`; read by everybody who wants some."""

    holder: Holder
    parts: dict[str, Part]
