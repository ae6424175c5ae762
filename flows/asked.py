"""The experiment of a flow run as a person gives it: a form in the Prefect UI, the path of a TOML file, or a name.

Where a deployed run keeps its artifacts and how it launches its steps is set by the environment that runs it, not by
each experiment. An experiment with the default store gets that of EFFREASON_STORE (s3://BUCKET/PREFIX at
AWS_ENDPOINT_URL_S3, or a folder); one with the default launcher gets that of EFFREASON_LAUNCHER (the table
`runtime.launcher` as JSON).
"""

import os
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, TypeAdapter, ValidationError

from effreason.choices import FolderHome, Home
from effreason.choices.launching import Launcher, Process
from effreason.commands.stores import home_at
from effreason.errors import UserError
from effreason.experiment import Experiment
from effreason.experiment_file import load, prepared
from effreason.specs import Night

STORE, LAUNCHER = "EFFREASON_STORE", "EFFREASON_LAUNCHER"


def _read(asked: Any) -> Any:
    return prepared(asked) if isinstance(asked, str) else asked


def _placed(experiment: Experiment) -> Experiment:
    store, launcher = experiment.store, experiment.runtime.launcher
    if (place := os.environ.get(STORE)) and store == FolderHome():
        store = _home(place)
    if (table := os.environ.get(LAUNCHER)) and launcher == Process():
        launcher = _launcher(table)
    runtime = experiment.runtime.model_copy(update={"launcher": launcher})
    return experiment.model_copy(update={"store": store, "runtime": runtime})


AskedExperiment = Annotated[
    Experiment, BeforeValidator(_read, json_schema_input_type=str | Experiment), AfterValidator(_placed)
]
"""The experiment as a parameter of a flow. Raises `UserError` if there is no such experiment or it has mistakes."""


def name_of(asked: Any) -> str:
    """Return the name of the experiment that a run was asked for, before it is prepared."""
    return _told(asked).name


def night_of(asked: Any) -> Night | None:
    """Return the night that a run was asked for; None if it names none."""
    return _told(asked).night


def _told(asked: Any) -> Experiment:
    return load(asked) if isinstance(asked, str) else Experiment.model_validate(asked)


def _home(place: str) -> Home:
    return home_at(place, os.environ.get("AWS_ENDPOINT_URL_S3") if place.startswith("s3://") else None)


def _launcher(table: str) -> Launcher:
    try:
        return TypeAdapter[Launcher](Launcher).validate_json(table)
    except ValidationError as error:
        raise UserError(
            f"{LAUNCHER}={table} is not a valid launcher ({error.errors()[0]['msg']}).",
            'Write it like {"kind": "container"}.',
        ) from error
