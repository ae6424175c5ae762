"""The fine-tuning of one cell."""

from prefect import task

from effreason.artifacts import Policy, Problems
from effreason.experiment import CellKey, Experiment
from tasks.launching import COAT, launch


@task(task_run_name="train {key.label}", **COAT)
def train(experiment: Experiment, key: CellKey, problems: Problems) -> Policy:
    """Fine-tune one model at one alpha from one seed."""
    return launch(experiment, f"train {key.label}", experiment.fine_tuning(key, problems.address), Policy)
