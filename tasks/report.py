"""The report of a sweep."""

from collections.abc import Sequence

from prefect import task

from effreason.artifacts import Evaluation, Policy, Problems, Report
from effreason.experiment import CellKey, Experiment
from tasks.running.launching import TASK_OPTIONS, launch

Measured = tuple[CellKey, Policy, Evaluation, Evaluation]
"""A cell with its policy and the evaluations before and after training."""


@task(task_run_name="report", **TASK_OPTIONS)
def report(experiment: Experiment, cells: Sequence[Measured], problems: Problems) -> Report:
    """Report every cell of the sweep on one page."""
    rows = [experiment.cell(key, policy.address, base.address, after.address) for key, policy, base, after in cells]
    return launch(experiment, "report", experiment.report_spec(tuple(rows), problems.address), Report)
