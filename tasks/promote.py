"""The champion of an experiment as the flow sees it: who it is, and another in its place."""

from typing import NamedTuple

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run

from effreason.artifacts import Decision, Policy
from effreason.choices import Model
from effreason.errors import StepFailure
from effreason.experiment import Experiment
from effreason.promotion.champion import Champion, Entry
from effreason.promotion.night import candidate_of
from effreason.specs import GateSpec, TrainSpec
from effreason.store import open_store


class Reigning(NamedTuple):
    """The champion that a night starts from."""

    entry: Entry | None
    """What made it champion; None before the first promotion."""
    model: Model
    policy: Policy | None
    """None where it is the base model as it comes."""


@task(task_run_name="champion", cache_policy=NO_CACHE)
def reigning(experiment: Experiment) -> Reigning:
    """Who was champion when the night began. Raises `StepFailure` where its policy has left the store."""
    store = open_store(experiment.store)
    assert experiment.night  # noqa: S101  the flow has set it
    entry = Champion(store, experiment.name).before(experiment.night)
    if entry is None or entry.policy is None:
        return Reigning(entry, candidate_of(experiment).model, None)
    manifest = store.find(entry.policy)
    if manifest is None or not isinstance(manifest.spec, TrainSpec) or not isinstance(manifest.artifact, Policy):
        raise StepFailure(
            f"The champion {entry.policy} of {experiment.name} has left the store.",
            f"Go back to one that is there: `effreason rollback {experiment.name}`.",
        )
    return Reigning(entry, manifest.spec.model, manifest.artifact)


@task(task_run_name="promote", cache_policy=NO_CACHE)
def promote(experiment: Experiment, decision: Decision, seen: Entry | None) -> Entry:
    """Make the candidate the champion in place of the one it was compared with.

    Raises `StepFailure` where another has become champion since.
    """
    store = open_store(experiment.store)
    manifest = store.find(decision.address)
    if manifest is None or not isinstance(manifest.spec, GateSpec):
        raise StepFailure(f"The decision {decision.address} has left the store.", "Run the night again.")
    spec = manifest.spec
    rested_on = {
        "candidate": spec.candidate.evaluation,
        "champion": spec.champion.evaluation,
        "base": spec.base.evaluation,
    }
    entry = Champion(store, experiment.name).promote(decision, rested_on, seen, f"flow run {flow_run.name}")
    get_run_logger().info("%s is the champion of %s (entry %d).", entry.policy, entry.line, entry.number)
    return entry
