"""A sweep as report.json tells it: test suites only, since alpha was chosen on the validation part."""

from effreason.report.schema import Changed, Document, Measured, Penalised, Recommended, ReportedCell
from effreason.report.sweep import Row, Sweep


def document(sweep: Sweep) -> Document:
    """The content of report.json."""
    return Document(
        experiment=sweep.spec.experiment,
        recommended={
            finding.model: Recommended(alpha=finding.recommendation.alpha, reason=finding.recommendation.reason)
            for finding in sweep.findings
        },
        cells=tuple(_cell(row) for row in sweep.rows if not row.validation),
    )


def _cell(row: Row) -> ReportedCell:
    cell = row.cell
    return ReportedCell(
        model=cell.model,
        suite=row.part,
        algorithm=cell.algorithm,
        penalty=Penalised(kind=cell.penalty, strength=cell.alpha),
        alpha=cell.alpha,
        seed=cell.seed,
        baseline=Measured.of(row.baseline),
        after=Measured.of(row.after),
        change=Changed.of(row.change),
    )
