"""The report step: every cell of a sweep, read from the store, on one page."""

from effreason.artifacts import Report
from effreason.progress import Progress
from effreason.report.cells import table
from effreason.report.document import document
from effreason.report.page import page, picture
from effreason.report.sweep import Sweep, read_sweep
from effreason.report.table import markdown
from effreason.specs import ReportSpec
from effreason.workbench import Workbench


def make(spec: ReportSpec, bench: Workbench) -> Report:
    """Write report.html, report.json, cells.csv, frontier.svg and table.md.

    Raises:
        StepFailure: an artifact that the report reads is missing or damaged.
    """
    bench.tell(Progress(phase="load", done=0, total=len(spec.cells)))
    sweep = read_sweep(spec, bench.read)
    bench.tell(Progress(phase="write", done=0, total=0))
    for name, content in _files(sweep).items():
        (bench.output / name).write_text(content, encoding="utf-8")
    return Report(address=spec.address, recommended=sweep.recommended)


def _files(sweep: Sweep) -> dict[str, str]:
    told = document(sweep)
    return {
        "report.html": page(sweep),
        "report.json": told.model_dump_json(indent=2),
        "cells.csv": table(sweep.rows),
        "frontier.svg": picture(sweep),
        "table.md": markdown(told),
    }
