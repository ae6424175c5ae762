"""The nightly run: train on fresh data, and promote a candidate that is no less accurate and uses fewer tokens.

python -m flows.nightly [EXPERIMENT]
"""

if __name__ == "__main__":  # ahead of Prefect, which reads its settings when it is imported
    from flows.nightly_command import main

    raise SystemExit(main())

from pathlib import Path

from prefect import flow
from prefect.runtime import flow_run

from effreason.artifacts import Decision
from effreason.pinning import pin
from effreason.promotion.night import at_night, candidate_of
from flows.asked import AskedExperiment, name_of, night_of
from tasks.evaluate import evaluate
from tasks.expected import steps_of_night
from tasks.gate import gate, show
from tasks.notify import notify
from tasks.prepare import prepare
from tasks.promote import current_champion, promote
from tasks.running.spending import afforded
from tasks.supervision.reaping import reap_run
from tasks.supervision.run_context import supervised
from tasks.train import train


def run_name() -> str:
    """Return the name of the run, such as `nightly 2026-01-31`."""
    asked = flow_run.parameters["experiment"]
    return f"{name_of(asked)} {night_of(asked) or tonight()}"


def tonight() -> str:
    """Return the date for which the run was scheduled, in UTC, however late it began."""
    return f"{flow_run.scheduled_start_time:%Y-%m-%d}"


@flow(
    name="nightly",
    flow_run_name=run_name,
    on_failure=[notify, reap_run],
    on_crashed=[notify, reap_run],
    on_cancellation=[reap_run],
)
@supervised(lambda experiment: steps_of_night(experiment, experiment.night or tonight()))
def nightly(experiment: AskedExperiment) -> Decision:
    """Train tonight's candidate, and make it the champion if it passes the gate.

    Args:
        experiment: The name of a shipped experiment, the path of a TOML file on the worker, or the whole experiment as
            a form.
    """
    experiment = at_night(pin(experiment, Path()), experiment.night or tonight())
    retries, key = experiment.runtime.retries, candidate_of(experiment)
    measure = evaluate.with_options(retries=retries)
    champion = current_champion(experiment)

    problems = prepare.with_options(retries=retries)(experiment)
    tuned = train.with_options(retries=retries).submit(experiment, key, problems)
    base = measure.submit(experiment, key.model.name, key.model, None, problems)
    standing = base
    if champion.policy is not None:
        standing = measure.submit(experiment, "champion", champion.model, champion.policy, problems)
    # A task run shows its task's name until it begins, and this one waits. Prefect replaces futures by their results.
    measure = measure.with_options(name=f"evaluate {key.label}")
    candidate = measure.submit(experiment, key.label, key.model, tuned, problems)  # type: ignore[call-overload]

    afforded({key: tuned}, [base, standing])
    decision: Decision = gate.with_options(retries=retries)(  # type: ignore[call-overload]
        experiment, candidate=(tuned, candidate), champion=(champion.policy, standing), base=base
    )
    show(experiment, decision)
    if decision.promotes:
        promote(experiment, decision, champion.entry)
    return decision
