"""The data: problems for training, for choosing alpha, and for evaluation."""

from prefect import task

from effreason.artifacts import Problems
from effreason.experiment import Experiment
from tasks.running.launching import TASK_OPTIONS, launch


@task(task_run_name="prepare", **TASK_OPTIONS)
def prepare(experiment: Experiment) -> Problems:
    """Load, check, deduplicate and split the problems."""
    return launch(experiment, "prepare", experiment.prepare_spec(), Problems)
