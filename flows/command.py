"""`python -m flows.full_sweep EXPERIMENT`: check it, find or start a Prefect server, run the flow, print the results.

A mistake in the experiment is reported before Prefect is imported or a server is started.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

from effreason.errors import EffreasonError, StepFailure
from effreason.experiment import Experiment
from effreason.experiment_file import prepared
from tasks.display.logs import as_json, log, tell
from tasks.local import server
from tasks.settings import formatted

Result = TypeVar("Result")

TERMINAL = {
    # The display shows what happens; Prefect's own log lines are in its UI.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
}


class ServerLost(StepFailure):
    """The Prefect server was lost, so the result of the run cannot be recorded."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return the exit code.

    It is 2 for an error that the user can fix, 1 for a failure, 3 for a budget that is used up, 130 after Ctrl-C.
    """
    options = _options(arguments)
    return exit_code_of("full-sweep", options.debug, lambda: _run_sweep(options))


def _run_sweep(options: argparse.Namespace) -> None:
    experiment = prepared(options.experiment)
    for caution in experiment.cautions():
        print(caution, file=sys.stderr, flush=True)
    ui = connect(options.no_server, options.debug)
    run(lambda: _sweep(experiment))
    _print(experiment, ui)


def exit_code_of(flow: str, debug: bool, command: Callable[[], None]) -> int:
    """Run a command that runs a flow; print its errors on standard error and return its exit code."""
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # a terminal without α must not end a sweep
    try:
        command()
    except EffreasonError as error:
        if debug:
            raise
        if as_json():
            log("error", "run ended", flow=flow, message=error.happened, remedy=error.remedy, exit_code=error.exit_code)
        print(f"{flow}: {error}", file=sys.stderr, flush=True)
        if isinstance(error, ServerLost):
            os._exit(error.exit_code)  # on a normal exit Prefect would try for minutes to deliver what it has left
        return error.exit_code
    except KeyboardInterrupt:
        print(f"{flow}: stopped. What is done is kept; run it again to continue.", file=sys.stderr)
        return 130
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m flows.full_sweep", description="Run an experiment, from nothing to a report."
    )
    parser.add_argument("experiment", help="path of a TOML file, or the name of a shipped experiment such as tiny")
    add_usual_options(parser)
    return parser.parse_args(arguments)


def add_usual_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of every command that runs a flow."""
    parser.add_argument("--no-server", action="store_true", help="run with a temporary Prefect server without a UI")
    parser.add_argument("--debug", action="store_true", help="show Prefect's log, and the traceback of an error")


def connect(without: bool, debug: bool) -> str | None:
    """Set the environment for Prefect, which is not yet imported; print and return the address of its UI, if any."""
    ui = _connected(without, debug)
    if ui is not None:
        tell(f"Prefect UI: {ui}", "prefect server", ui=ui.partition(" ")[0])
    return ui


def _connected(without: bool, debug: bool) -> str | None:
    os.environ.update(formatted(os.environ))
    if not debug:
        os.environ.update({**TERMINAL, **os.environ})
    given = os.environ.get("PREFECT_API_URL")
    if without:
        os.environ.pop("PREFECT_API_URL", None)
        os.environ.update(server.run_environment(None))
        return None
    if given:
        server.check_reachable(given)
        return given.removesuffix("/").removesuffix("/api")
    local = server.ensure_server()
    os.environ.update(server.run_environment(local))
    return f"{local.address}   (it keeps running; `make stop` stops it)"


def _sweep(experiment: Experiment) -> None:
    from flows.full_sweep import full_sweep

    full_sweep(experiment)


def run(flow: Callable[[], Result]) -> Result:
    """Run the flow and return its result. Raises `StepFailure` if it was cancelled or the server was lost."""
    import httpx
    from prefect.exceptions import CancelledRun, PrefectException

    try:
        return flow()
    except CancelledRun:
        raise StepFailure("The run was cancelled.", "What is done is kept; run it again to continue.") from None
    except (httpx.HTTPError, PrefectException, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "ephemeral" not in str(error):
            raise
        raise ServerLost(
            f"The Prefect server was lost ({error}).", "What is done is kept; run it again once the server is running."
        ) from error


def _print(experiment: Experiment, ui: str | None) -> None:
    from tasks.publish import PAGE, TABLE, report_folder

    folder = report_folder(experiment)
    if as_json():
        log("info", "report", experiment=experiment.name, report=str(folder / PAGE))
        return
    print(f"\n{(folder / TABLE).read_text(encoding='utf-8')}")
    print(f"Report:     {folder / PAGE}")
    if ui is not None:
        print(f"Prefect UI: {ui}")
