"""`python -m flows.nightly [EXPERIMENT]`: run one night now, and print what the gate decided.

A mistake in the experiment is reported before Prefect is imported or a server is started.
"""

import argparse
from collections.abc import Sequence
from datetime import UTC, date, datetime

from effreason.artifacts import Decision
from effreason.experiment import Experiment
from effreason.experiment_file import prepared
from effreason.promotion.night import at_night, refuse_ahead
from flows.command import add_usual_options, connect, exit_code_of, run
from tasks.display.logs import as_json, log


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return the exit code.

    It is 0 whether the candidate is promoted or refused, 2 for an error that the user can fix, 1 for a failure.
    """
    options = _options(arguments)
    return exit_code_of("nightly", options.debug, lambda: _run_night(options))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m flows.nightly",
        description="Train on fresh data, and promote a candidate that is no less accurate and uses fewer tokens.",
    )
    parser.add_argument(
        "experiment", nargs="?", default="nightly", help="path of a TOML file, or a shipped name (default: %(default)s)"
    )
    parser.add_argument(
        "--night", type=_night, metavar="DATE", help="date of the night, e.g. 2026-01-31 (default: today in UTC)"
    )
    add_usual_options(parser)
    return parser.parse_args(arguments)


def _night(text: str) -> str:
    return date.fromisoformat(text).isoformat()


def _run_night(options: argparse.Namespace) -> None:
    night = options.night or datetime.now(UTC).date().isoformat()
    experiment = prepared(options.experiment).model_copy(update={"night": night})
    at_night(experiment, night)  # raises if there are several cells
    refuse_ahead(night)
    ui = connect(options.no_server, options.debug)
    _print(experiment, run(lambda: _decision_of(experiment)), ui)


def _decision_of(experiment: Experiment) -> Decision:
    from flows.nightly import nightly

    decision = nightly(experiment)
    assert isinstance(decision, Decision)  # noqa: S101  a state only if it was cancelled, which raises here
    return decision


def _print(experiment: Experiment, decision: Decision, ui: str | None) -> None:
    from tasks.gate import PAGE, night_folder

    if as_json():
        page = str(night_folder(experiment, decision) / PAGE)
        log("info", "night", experiment=experiment.name, reason=decision.reason, promotes=decision.promotes, page=page)
        return
    print(f"\n{decision.reason}")
    print(f"Night:      {night_folder(experiment, decision) / PAGE}")
    if ui is not None:
        print(f"Prefect UI: {ui}")
