"""The whole experiment on one screen.

python -m flows.full_sweep path.toml
"""

if __name__ == "__main__":  # ahead of Prefect, which reads its settings when it is imported
    from flows.command import main

    raise SystemExit(main())

from datetime import datetime
from pathlib import Path

from prefect import flow
from prefect.runtime import flow_run

from effreason.artifacts import Report
from effreason.pinning import pin
from flows.asked import AskedExperiment, name_of
from tasks.evaluate import evaluate, evaluate_concise
from tasks.expected import steps_of_sweep
from tasks.prepare import prepare
from tasks.publish import publish
from tasks.report import report
from tasks.running.spending import afforded, refuse_the_rest
from tasks.supervision.reaping import reap_run
from tasks.supervision.run_context import supervised
from tasks.train import train


def run_name() -> str:
    """Return the name of the run, such as `tiny 2026-01-31 09:30:00`."""
    return f"{name_of(flow_run.parameters['experiment'])} {datetime.now().astimezone():%Y-%m-%d %H:%M:%S}"


@flow(
    name="full-sweep",
    flow_run_name=run_name,
    on_failure=[reap_run],
    on_crashed=[reap_run],
    on_cancellation=[reap_run],
)
@supervised(steps_of_sweep)
def full_sweep(experiment: AskedExperiment) -> Report:
    """Train every model at every alpha and seed, and report how many tokens each alpha saves at which accuracy.

    Args:
        experiment: The name of a shipped experiment, the path of a TOML file on the worker, or the whole experiment as
            a form.
    """
    experiment = pin(experiment, Path())  # in a deployment it is not pinned yet; a pinned one stays as it is
    retries = experiment.runtime.retries
    measure, fine_tune = evaluate.with_options(retries=retries), train.with_options(retries=retries)
    ask_for_brevity = evaluate_concise.with_options(retries=retries)

    problems = prepare.with_options(retries=retries)(experiment)
    base = {model: measure.submit(experiment, model.name, model, None, problems) for model in experiment.models}
    concise = [ask_for_brevity.submit(experiment, model, problems) for model in experiment.concise_models()]
    tuned = {key: fine_tune.submit(experiment, key, problems) for key in experiment.cells()}
    # A task run shows its task's name until it begins, and these wait. Prefect replaces the futures by their results.
    measures = {key: measure.with_options(name=f"evaluate {key.label}") for key in tuned}
    after = {key: measures[key].submit(experiment, key.label, key.model, tuned[key], problems) for key in tuned}  # type: ignore[call-overload]

    others = [*base.values(), *concise]
    kept = afforded(tuned, others)
    cells = [(key, tuned[key], base[key.model], after[key]) for key in kept]
    # The report finds the concise evaluations by their addresses, so it only has to wait for them. The budget never
    # stops evaluations of base models, so the report also waits for that of a model whose cells are all held back.
    finished = report.with_options(retries=retries)(experiment, cells, problems, wait_for=others)
    publish(experiment, finished)
    refuse_the_rest(tuned, kept)
    return finished
