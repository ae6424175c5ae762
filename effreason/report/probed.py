"""What the probes of faithfulness say of one model, as the report holds it."""

from dataclasses import dataclass

from effreason.artifacts import FaithfulnessMeasures
from effreason.faithfulness.paired import FaithfulnessChange


@dataclass(frozen=True)
class Probed:
    """One model in one state on one suite. Made by `gathering`; read by `probing`."""

    model: str
    suite: str
    label: str
    measures: FaithfulnessMeasures
    change: FaithfulnessChange | None
    """From the base model; None for that itself."""
