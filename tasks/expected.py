"""The labels of the steps that a run will have, before any has begun."""

from pathlib import Path

from effreason.experiment import Experiment
from effreason.pinning import pin
from effreason.planning import steps
from effreason.promotion.night import at_night, candidate_of, champion_before, refuse_ahead
from effreason.specs import Night
from effreason.store import open_store


def steps_of_sweep(experiment: Experiment) -> list[str]:
    return [label for label, _ in steps(experiment)]


def steps_of_measurement(experiment: Experiment, model: str) -> list[str]:
    return ["prepare", f"evaluate {model}"]


def steps_of_night(experiment: Experiment, night: Night) -> list[str]:
    """Return the labels of the steps of a night. Raises `UserError` if the experiment cannot run as a night."""
    refuse_ahead(night)
    tonight = at_night(pin(experiment, Path()), night)
    key = candidate_of(tonight)
    before = champion_before(open_store(tonight.store), tonight)
    champion = ["evaluate champion"] if before is not None and before.policy is not None else []
    return [
        "prepare",
        f"evaluate {key.model.name}",
        *champion,
        f"train {key.label}",
        f"evaluate {key.label}",
        "gate",
    ]
