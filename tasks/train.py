"""The fine-tuning of one cell."""

from typing import Any

from prefect import State, task

from effreason.artifacts import Policy, Problems
from effreason.experiment import CellKey, Experiment
from tasks.running.launching import TASK_OPTIONS, launch
from tasks.running.spending import HeldBack, held_back


@task(task_run_name="train {key.label}", **TASK_OPTIONS)
def train(experiment: Experiment, key: CellKey, problems: Problems) -> Policy | State[Any]:
    """Fine-tune one model at one alpha from one seed, if the budget allows it."""
    try:
        return launch(experiment, f"train {key.label}", experiment.train_spec(key, problems.address), Policy)
    except HeldBack as refusal:
        return held_back(refusal)
