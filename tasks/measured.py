"""The evaluation of a model that somebody asked for: which model it is, and its results."""

from collections.abc import Iterator
from typing import NamedTuple

from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from effreason.artifacts import Evaluation, Policy
from effreason.choices import Model
from effreason.commands.models import named_model
from effreason.commands.stores import sealed
from effreason.experiment import Experiment
from effreason.figures import count, percent
from effreason.store import open_store
from tasks.display.page import artifact_browser, key_of


class Subject(NamedTuple):
    """The model or policy that is evaluated. Made by `subject_of`; read by the flow."""

    model: Model
    policy: Policy | None
    """None means the base model."""


def subject_of(experiment: Experiment, asked: str) -> Subject:
    """Return a model of the experiment by its name, or any that `effreason evaluate` accepts.

    Raises `UserError` if there is no such model.
    """
    own = next((model for model in experiment.models if model.name == asked), None)
    if own is not None:
        return Subject(own, None)
    store = open_store(experiment.store)
    named = named_model(asked, store)
    policy = sealed(store, named.policy).artifact if named.policy is not None else None
    assert policy is None or isinstance(policy, Policy)  # noqa: S101  the artifact at a `train/` address is a policy
    return Subject(named.model, policy)


@task(task_run_name="show", cache_policy=NO_CACHE)
def show(experiment: Experiment, model: str, measured: Evaluation) -> None:
    """Show the results of the model in the UI, with 95% intervals."""
    create_table_artifact(
        list(_rows(measured, artifact_browser(experiment))),
        key=key_of(f"{experiment.name} measured {model}"),
        description=f"How {model} did on the problems of {experiment.name}, with 95% intervals over problems",
    )


def _rows(measured: Evaluation, browser: str | None) -> Iterator[dict[str, str]]:
    link = {} if browser is None else {"evaluation": f"[evaluation]({browser}/{measured.address}/)"}
    for suite, measures in measured.suites.items():
        yield {
            "suite": suite,
            "problems": f"{measures.problems} × {measures.samples}",
            "accuracy": str(percent(measures.accuracy)),
            "tokens": str(count(measures.tokens)),
            "truncated": str(percent(measures.truncated)),
            **link,
        }
