"""The publication of the report, in the folder of the run and in the Prefect UI."""

import base64
import os
import tempfile
from pathlib import Path

from prefect import task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE

from effreason.artifacts import Manifest, Report
from effreason.errors import StepFailure
from effreason.experiment import Experiment
from effreason.specs import ReportSpec
from effreason.store import open_store
from tasks.display.page import artifact_browser, key_of
from tasks.display.results import rows
from tasks.running.launching import cost_part

PAGE = "report.html"
TABLE = "table.md"
PLOT = "frontier.svg"
MOST_PLOT_BYTES = 100_000
"""Size limit of a plot in the UI, which fetches every artifact in full for its lists."""


@task(task_run_name="publish", cache_policy=NO_CACHE)
def publish(experiment: Experiment, report: Report) -> Path:
    """Write the report to the run's folder, show its table, plot and links in the UI, and return the folder."""
    manifest = _sealed(experiment, report)
    folder, browser = laid_out(experiment, manifest), artifact_browser(experiment)
    create_markdown_artifact(
        _markdown(experiment.name, folder, report, browser),
        key=key_of(experiment.name),
        description=f"The report of {experiment.name}",
    )
    assert isinstance(manifest.spec, ReportSpec)  # noqa: S101  reports are made from report specs
    create_table_artifact(
        rows(folder, report, manifest.spec.cells, browser),
        key=key_of(f"{experiment.name} results"),
        description=f"The results of {experiment.name}, with 95% confidence intervals over problems",
    )
    return folder


def report_folder(experiment: Experiment) -> Path:
    """Return the folder of an experiment's report, `runs/NAME/report`."""
    return Path("runs", experiment.name, "report").resolve()


def laid_out(experiment: Experiment, manifest: Manifest) -> Path:
    """Fetch the report's files into the run's folder, replacing an earlier report at once; return the folder."""
    folder = report_folder(experiment)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".report-", dir=folder.parent) as scratch:
        fetched = open_store(experiment.store).fetch(manifest, Path(scratch, "fetched"))
        if folder.exists():
            os.rename(folder, Path(scratch, "earlier"))
        os.rename(fetched, folder)
    return folder


def _sealed(experiment: Experiment, report: Report) -> Manifest:
    manifest = open_store(experiment.store).find(report.address)
    if manifest is None:
        raise StepFailure(f"The report {report.address} is no longer in the store.", "Run the experiment again.")
    return manifest


def _markdown(name: str, folder: Path, report: Report, browser: str | None) -> str:
    table, plot = (folder / TABLE).read_text(encoding="utf-8"), _plot(folder / PLOT)
    return "\n\n".join([f"# {name}", _links(folder / PAGE, report, browser), table, plot, cost_part()])


def _links(page: Path, report: Report, browser: str | None) -> str:
    if browser is None:
        return f"[Open the report]({page.as_uri()}), or open `{page}` if the browser does not follow file links."
    files = f"{browser}/{report.address}/"
    return (
        f"**[Open the report]({files}{PAGE})**, its [training curves]({files}{PAGE}#training), "
        f"its [transcripts]({files}{PAGE}#transcripts) or [its files]({files}). "
        f"[All artifacts]({browser}/): policies, evaluations, problems."
    )


def _plot(path: Path) -> str:
    drawing = path.read_bytes()
    if len(drawing) > MOST_PLOT_BYTES:
        return f"The plot is in `{path}`; it is too large to be shown here."
    return f"![Tokens against accuracy](data:image/svg+xml;base64,{base64.b64encode(drawing).decode()})"
