"""The evaluation of a model, the same before and after training, and of a base model asked for brevity."""

from prefect import task

from effreason.artifacts import Evaluation, Policy, Problems
from effreason.choices import Model
from effreason.experiment import Experiment
from tasks.running.launching import TASK_OPTIONS, launch


@task(task_run_name="evaluate {label}", **TASK_OPTIONS)
def evaluate(experiment: Experiment, label: str, model: Model, policy: Policy | None, problems: Problems) -> Evaluation:
    """Evaluate a base model, or the policy trained from it."""
    spec = experiment.evaluate_spec(model, policy.address if policy else None, problems.address)
    return launch(experiment, f"evaluate {label}", spec, Evaluation)


@task(task_run_name="evaluate {model.name} concise", **TASK_OPTIONS)
def evaluate_concise(experiment: Experiment, model: Model, problems: Problems) -> Evaluation:
    """Evaluate a base model with a prompt that asks for brevity."""
    spec = experiment.concise_evaluate_spec(model, problems.address)
    return launch(experiment, f"evaluate {model.name} concise", spec, Evaluation)
