"""The champion of an experiment in the flow: which one it is, and its replacement."""

from typing import NamedTuple

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run

from effreason.artifacts import Decision, Policy
from effreason.choices import Model
from effreason.errors import StepFailure
from effreason.experiment import Experiment
from effreason.promotion.champion import Champion, Entry
from effreason.promotion.night import candidate_of, champion_before
from effreason.specs import GateSpec, TrainSpec
from effreason.store import open_store


class CurrentChampion(NamedTuple):
    """The champion that a night starts from."""

    entry: Entry | None
    """The entry that made it champion; None before the first promotion."""
    model: Model
    policy: Policy | None
    """None means the base model."""


@task(task_run_name="champion", cache_policy=NO_CACHE)
def current_champion(experiment: Experiment) -> CurrentChampion:
    """Return the champion with which the night's candidate is compared.

    Raises `StepFailure` if its policy is no longer in the store.
    """
    store = open_store(experiment.store)
    entry = champion_before(store, experiment)
    if entry is None or entry.policy is None:
        return CurrentChampion(entry, candidate_of(experiment).model, None)
    manifest = store.find(entry.policy)
    if manifest is None or not isinstance(manifest.spec, TrainSpec) or not isinstance(manifest.artifact, Policy):
        raise StepFailure(
            f"The champion {entry.policy} of {experiment.name} is no longer in the store.",
            f"Roll back to one that is: `effreason rollback {experiment.name}`.",
        )
    return CurrentChampion(entry, manifest.spec.model, manifest.artifact)


@task(task_run_name="promote", cache_policy=NO_CACHE)
def promote(experiment: Experiment, decision: Decision, seen: Entry | None) -> Entry:
    """Make the candidate the champion in place of the one it was compared with.

    Raises `StepFailure` if another policy has become champion since.
    """
    store = open_store(experiment.store)
    manifest = store.find(decision.address)
    if manifest is None or not isinstance(manifest.spec, GateSpec):
        raise StepFailure(f"The decision {decision.address} is no longer in the store.", "Run the night again.")
    spec = manifest.spec
    rested_on = {
        "candidate": spec.candidate.evaluation,
        "champion": spec.champion.evaluation,
        "base": spec.base.evaluation,
    }
    entry = Champion(store, experiment.name).promote(decision, rested_on, seen, f"flow run {flow_run.name}")
    get_run_logger().info("%s is the champion of %s (entry %d).", entry.policy, entry.line, entry.number)
    return entry
