"""The report step: every cell of a sweep, or two evaluations to compare, read from the store, on one page."""

from effreason.artifacts import Report
from effreason.progress import Progress
from effreason.report.document import document
from effreason.report.gathering import read_sweep
from effreason.report.page import page, picture
from effreason.report.sections import sheets, training_in_full
from effreason.report.sweep import Sweep
from effreason.report.table import markdown
from effreason.specs import ReportSpec
from effreason.workbench import Workbench


def make(spec: ReportSpec, bench: Workbench) -> Report:
    """Write report.html, report.json, a CSV for each section, frontier.svg and table.md.

    Raises:
        StepFailure: an artifact that the report reads is missing or damaged.
    """
    bench.tell(Progress(phase="load", done=0, total=len(spec.cells)))
    sweep = read_sweep(spec, bench.read, bench.runtime.price)
    bench.tell(Progress(phase="write", done=0, total=0))
    for name, content in _files(sweep).items():
        (bench.output / name).write_text(content, encoding="utf-8")
    return Report(address=spec.address, recommended=sweep.recommended)


def _files(sweep: Sweep) -> dict[str, str]:
    told, data = document(sweep), sheets(sweep)
    return {
        "report.html": page(sweep, data),
        "report.json": told.model_dump_json(indent=2),
        "frontier.svg": picture(sweep),
        "table.md": markdown(told),
        **{f"{sheet.name}.csv": sheet.text for sheet in (*data.values(), *training_in_full(sweep))},
    }
