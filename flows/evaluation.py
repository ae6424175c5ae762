"""An evaluation without training: any model, or a policy of the store, on the problems of an experiment.

prefect deployment run evaluate -p experiment=tiny -p model=train/3f2a
"""

from datetime import datetime
from pathlib import Path

from prefect import flow
from prefect.runtime import flow_run

from effreason.artifacts import Evaluation
from effreason.pinning import pin
from flows.asked import AskedExperiment, name_of
from tasks.evaluate import evaluate
from tasks.expected import steps_of_measurement
from tasks.measured import show, subject_of
from tasks.prepare import prepare
from tasks.supervision.reaping import reap_run
from tasks.supervision.run_context import supervised


def run_name() -> str:
    """Return the name of the run, such as `train/3f2a on tiny 2026-01-31 09:30:00`."""
    asked = flow_run.parameters
    return f"{asked['model']} on {name_of(asked['experiment'])} {datetime.now().astimezone():%Y-%m-%d %H:%M:%S}"


@flow(
    name="evaluate",
    flow_run_name=run_name,
    on_failure=[reap_run],
    on_crashed=[reap_run],
    on_cancellation=[reap_run],
)
@supervised(steps_of_measurement)
def evaluation(experiment: AskedExperiment, model: str) -> Evaluation:
    """Evaluate a model on the problems of an experiment, with the experiment's prompt and protocol.

    Args:
        experiment: The name of a shipped experiment, the path of a TOML file on the worker, or the whole experiment as
            a form.
        model: The name of one of the experiment's models, train/ADDRESS of its store, a folder on the worker,
            OWNER/NAME on the hub, or reasoner, the built-in model.
    """
    subject = subject_of(experiment, model)
    experiment = pin(experiment.model_copy(update={"models": (subject.model,)}), Path())
    retries = experiment.runtime.retries

    problems = prepare.with_options(retries=retries)(experiment)
    measure = evaluate.with_options(retries=retries)
    measured: Evaluation = measure(experiment, model, experiment.models[0], subject.policy, problems)
    show(experiment, model, measured)
    return measured
