"""The report where people look for it: in the folder of the run, and in the Prefect UI."""

import base64
import os
import tempfile
from pathlib import Path

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from effreason.artifacts import Report
from effreason.errors import StepFailure
from effreason.experiment import Experiment
from effreason.store import open_store
from tasks.page import key_of

ARTIFACTS_URL = "EFFREASON_ARTIFACTS_URL"
"""Where `effreason browse` shows the store to browsers that have no way to the folder of the run."""
PAGE = "report.html"
TABLE = "table.md"
PLOT = "frontier.svg"
MOST_PLOT_BYTES = 100_000
"""The UI fetches every artifact in full for its lists."""


@task(task_run_name="publish", cache_policy=NO_CACHE)
def publish(experiment: Experiment, report: Report) -> Path:
    """Lay the report out in the run's folder, and show its table and plot in the UI; return the folder."""
    folder = laid_out(experiment, report)
    create_markdown_artifact(
        _markdown(experiment.name, folder, report),
        key=key_of(experiment.name),
        description=f"The report of {experiment.name}",
    )
    return folder


def report_folder(experiment: Experiment) -> Path:
    """Where the report of an experiment is laid out: `runs/NAME/report`."""
    return Path("runs", experiment.name, "report").resolve()


def laid_out(experiment: Experiment, report: Report) -> Path:
    """Fetch the report's files into the run's folder; they replace an earlier report all at once."""
    store, folder = open_store(experiment.store), report_folder(experiment)
    manifest = store.find(report.address)
    if manifest is None:
        raise StepFailure(f"The report {report.address} has left the store.", "Run the experiment again.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".report-", dir=folder.parent) as scratch:
        fetched = store.fetch(manifest, Path(scratch, "fetched"))
        if folder.exists():
            os.rename(folder, Path(scratch, "earlier"))
        os.rename(fetched, folder)
    return folder


def _markdown(name: str, folder: Path, report: Report) -> str:
    table, plot = (folder / TABLE).read_text(encoding="utf-8"), _plot(folder / PLOT)
    return "\n\n".join([f"# {name}", table, plot, _link(folder / PAGE, report)])


def _link(page: Path, report: Report) -> str:
    browser = os.environ.get(ARTIFACTS_URL)
    if browser:
        place = f"{browser.rstrip('/')}/{report.address}"
        return f"[Open the report]({place}/{PAGE}), [its files]({place}/) or [all artifacts]({browser})."
    return f"[Open the report]({page.as_uri()}), or open `{page}` where the browser follows no link to a file."


def _plot(path: Path) -> str:
    drawing = path.read_bytes()
    if len(drawing) > MOST_PLOT_BYTES:
        return f"The plot is in `{path}`; it is too large to be shown here."
    return f"![Tokens against accuracy](data:image/svg+xml;base64,{base64.b64encode(drawing).decode()})"
