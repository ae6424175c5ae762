"""An experiment as one night runs it, and the nights before.

Every night draws new data: the built-in task and those of reasoning-gym generate other problems; from files and data
sets other rows are drawn. The candidate is trained from the base model, never from the champion, so that a fault in one
night is not passed on to the next.
"""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta

from effreason.artifacts import Decision, Manifest
from effreason.errors import UserError
from effreason.experiment import CellKey, Experiment
from effreason.promotion.champion import Champion, Entry
from effreason.specs import Address, Contender, GateSpec, Night
from effreason.store import Store
from effreason.store.shelf import Damaged

NIGHTS = 14
"""Number of earlier nights from which the expected figures of a night are estimated."""


def at_night(experiment: Experiment, night: Night) -> Experiment:
    """Return the experiment with the data and training seeds of a night. Raises `UserError` unless it has one cell."""
    cells = len(list(experiment.cells()))
    if cells > 1:
        raise UserError(
            f"A night trains one candidate, but {experiment.name} has {cells} cells.",
            "Give one model, one alpha and one seed.",
        )
    number = int(night.replace("-", ""))
    data = experiment.data.model_copy(update={"seed": experiment.data.seed + number, "concise": ""})
    seeds = (experiment.seeds[0] + number,)
    return experiment.model_copy(update={"night": night, "data": data, "seeds": seeds})


def refuse_ahead(night: Night) -> None:
    """Raise `UserError` for a night that has not begun anywhere on earth."""
    if date.fromisoformat(night) > datetime.now(UTC).date() + timedelta(days=1):
        raise UserError(f"The night {night} is in the future.", "Give a date that is not, or leave it out for tonight.")


def candidate_of(experiment: Experiment) -> CellKey:
    """Return the only cell of a night."""
    return next(experiment.cells())


def champion_before(store: Store, experiment: Experiment) -> Entry | None:
    """Return the entry of the champion with which the candidate is compared.

    `experiment` comes from `at_night` and is pinned.
    """
    assert experiment.night  # noqa: S101  set by `at_night`
    training = experiment.train_spec(candidate_of(experiment), experiment.prepare_spec().address)
    return Champion(store, experiment.name).before(experiment.night, training.address)


def gate_spec(
    experiment: Experiment, candidate: Contender, champion: Contender, base: Contender, past: tuple[Address, ...]
) -> GateSpec:
    """Return the spec of the night's gate; `experiment` comes from `at_night`."""
    assert experiment.night  # noqa: S101  set by `at_night`
    return GateSpec(
        line=experiment.name,
        night=experiment.night,
        gate=experiment.gate,
        suites=experiment.gate.suites or tuple(suite.name for suite in experiment.data.measured()),
        candidate=candidate,
        champion=champion,
        base=base,
        past=past,
    )


def nights_before(store: Store, experiment: Experiment) -> tuple[Address, ...]:
    """Return the addresses of the decisions of the last nights before this one, latest first.

    They are those of experiments of the same name; of several decisions of a night, the one made last counts.
    """
    latest: dict[Night, Manifest] = {}
    for manifest in _decisions(store):
        made = manifest.artifact
        assert isinstance(made, Decision)  # noqa: S101  a gate makes decisions
        known = latest.get(made.night)
        earlier = made.line == experiment.name and made.night < (experiment.night or "")
        if earlier and (known is None or known.provenance.started < manifest.provenance.started):
            latest[made.night] = manifest
    return tuple(latest[night].address for night in sorted(latest, reverse=True)[:NIGHTS])


def _decisions(store: Store) -> Iterator[Manifest]:
    for address in store.addresses():
        if address.startswith("gate/"):
            with suppress(Damaged):  # an unreadable decision cannot be compared with
                if (manifest := store.find(address)) is not None:
                    yield manifest
