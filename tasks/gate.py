"""The gate of a night: whether its candidate may take the champion's place."""

from pathlib import Path

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from effreason.artifacts import Decision, Evaluation, Policy
from effreason.errors import StepFailure
from effreason.experiment import Experiment
from effreason.promotion.night import gate_spec, nights_before
from effreason.specs import Contender, GateSpec
from effreason.store import open_store
from tasks.display.page import key_of
from tasks.running.launching import TASK_OPTIONS, launch

PAGE = "night.md"


@task(task_run_name="gate", **TASK_OPTIONS)
def gate(
    experiment: Experiment,
    candidate: tuple[Policy, Evaluation],
    champion: tuple[Policy | None, Evaluation],
    base: Evaluation,
) -> Decision:
    """Compare a candidate with the champion and the base model, and tonight's figures with those of earlier nights."""
    past = nights_before(open_store(experiment.store), experiment)
    contenders = (_contender(*candidate), _contender(*champion), _contender(None, base))
    spec: GateSpec = gate_spec(experiment, *contenders, past)
    return launch(experiment, "gate", spec, Decision)


@task(task_run_name="show the night", cache_policy=NO_CACHE)
def show(experiment: Experiment, decision: Decision) -> Path:
    """Write the night's page and figures to `runs/NAME/nights/DATE`, show the page in the UI, and return the folder."""
    store = open_store(experiment.store)
    manifest = store.find(decision.address)
    if manifest is None:
        raise StepFailure(f"The decision {decision.address} is no longer in the store.", "Run the night again.")
    folder = store.fetch(manifest, night_folder(experiment, decision))
    create_markdown_artifact(
        (folder / PAGE).read_text(encoding="utf-8"),
        key=key_of(f"{experiment.name} night"),
        description=f"The gate of {experiment.name} in the night of {decision.night}, and its drift",
    )
    return folder


def night_folder(experiment: Experiment, decision: Decision) -> Path:
    """Return the folder of the page of a night."""
    return Path("runs", experiment.name, "nights", decision.night).resolve()


def _contender(policy: Policy | None, evaluation: Evaluation) -> Contender:
    return Contender(policy=policy.address if policy else None, evaluation=evaluation.address)
