"""Everything that a report tells, read from the artifacts of a sweep.

Figures of one model are taken from its manifest as they were measured; what is paired (the change from one model to
another) is computed here from the judged completions, by the functions of `effreason.evaluation`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Protocol

from effreason.artifacts import Evaluation, Manifest, Measures, Policy, Problems
from effreason.evaluation.completions import FILE as COMPLETIONS
from effreason.evaluation.completions import Judged, read_completions
from effreason.evaluation.measures import Change, change, pooled_change
from effreason.evaluation.recommend import Recommendation, recommend, two_sided
from effreason.problems.files import VALIDATION, read_part
from effreason.report.curves import Curve, read_curve
from effreason.report.transcripts import Transcript, largest_savings
from effreason.specs import Address, Cell, EvaluateSpec, ReportSpec, Selection, TrainSpec

METRICS = "metrics.jsonl"


class Read(Protocol):
    """How artifacts are reached: `Workbench.read`. With no file wanted, for the manifest alone."""

    def __call__(self, address: Address, only: Sequence[str] | None = None) -> tuple[Manifest, Path]: ...


class Completions(Protocol):
    """The judged completions of an evaluation, by part."""

    def __call__(self, evaluation: Address) -> dict[str, Judged]: ...


@dataclass(frozen=True)
class Run:
    """A cell with the artifacts that it names."""

    cell: Cell
    policy: Manifest
    baseline: Manifest
    after: Manifest
    curve: Curve


@dataclass(frozen=True)
class Row:
    """One cell on one part: a test suite, or the validation part."""

    cell: Cell
    part: str
    baseline: Measures
    after: Measures
    change: Change

    @property
    def validation(self) -> bool:
        return self.part == VALIDATION


@dataclass(frozen=True)
class Finding:
    """What became of one model at the alpha that is recommended for it, or at its largest alpha where none is."""

    model: str
    recommendation: Recommendation
    alpha: float
    on_suites: dict[str, Change]
    """By test suite, all seeds together."""
    transcripts: Sequence[Transcript]
    """On the first test suite, with the first seed."""


@dataclass(frozen=True)
class Sweep:
    """Made by `read_sweep`; read by whatever writes a file of the report."""

    spec: ReportSpec
    problems: Manifest
    runs: Sequence[Run]
    rows: Sequence[Row]
    findings: Sequence[Finding]
    """One a model, in the order of the experiment."""

    @property
    def parts(self) -> list[str]:
        """The test suites, then the validation part where there is one."""
        return sorted(dict.fromkeys(row.part for row in self.rows), key=lambda part: part == VALIDATION)

    @property
    def models(self) -> list[str]:
        return list(dict.fromkeys(cell.model for cell in self.spec.cells))

    @property
    def seeds(self) -> list[int]:
        return sorted({cell.seed for cell in self.spec.cells})

    @property
    def recommended(self) -> dict[str, float | None]:
        """By model."""
        return {finding.model: finding.recommendation.alpha for finding in self.findings}


def read_sweep(spec: ReportSpec, read: Read) -> Sweep:
    """Read every artifact that `spec` names.

    Raises:
        StepFailure: an artifact is missing or damaged.
    """

    @cache
    def fetched(evaluation: Address) -> Path:
        return read(evaluation, [COMPLETIONS])[1] / COMPLETIONS

    @lru_cache(maxsize=2)  # the baseline and the cell at hand: all cells at once could be more than memory holds
    def completions(evaluation: Address) -> dict[str, Judged]:
        return read_completions(fetched(evaluation))

    runs = [_run(cell, read) for cell in spec.cells]
    by_model = [
        [run for run in runs if run.cell.model == model] for model in dict.fromkeys(c.model for c in spec.cells)
    ]
    manifest, folder = read(spec.problems)
    return Sweep(
        spec=spec,
        problems=manifest,
        runs=runs,
        rows=[row for run in runs for row in _rows(run, completions)],
        findings=[_finding(ours, spec.selection, folder, completions) for ours in by_model],
    )


def problems_of(manifest: Manifest) -> Problems:
    assert isinstance(manifest.artifact, Problems)  # noqa: S101  what a prepare spec makes
    return manifest.artifact


def evaluation_of(manifest: Manifest) -> Evaluation:
    assert isinstance(manifest.artifact, Evaluation)  # noqa: S101  what an evaluate spec makes
    return manifest.artifact


def evaluation_spec_of(manifest: Manifest) -> EvaluateSpec:
    assert isinstance(manifest.spec, EvaluateSpec)  # noqa: S101  as above
    return manifest.spec


def policy_of(manifest: Manifest) -> Policy:
    assert isinstance(manifest.artifact, Policy)  # noqa: S101  what a train spec makes
    return manifest.artifact


def training_spec_of(manifest: Manifest) -> TrainSpec:
    assert isinstance(manifest.spec, TrainSpec)  # noqa: S101  as above
    return manifest.spec


def _run(cell: Cell, read: Read) -> Run:
    policy, folder = read(cell.policy, [METRICS])
    return Run(
        cell=cell,
        policy=policy,
        baseline=read(cell.baseline, [])[0],
        after=read(cell.after, [])[0],
        curve=read_curve(folder / METRICS),
    )


def _rows(run: Run, completions: Completions) -> Iterable[Row]:
    baseline, after = evaluation_of(run.baseline).suites, evaluation_of(run.after).suites
    before, behind = completions(run.cell.baseline), completions(run.cell.after)
    for part in baseline:
        yield Row(run.cell, part, baseline[part], after[part], change(before[part], behind[part]))


def _finding(runs: Sequence[Run], selection: Selection, folder: Path, completions: Completions) -> Finding:
    """`runs` are those of one model; `folder` has the problems."""
    cells = [run.cell for run in runs]
    recommendation = recommend(_validation_changes(cells, selection, completions), selection)
    alpha = recommendation.alpha if recommendation.alpha is not None else max(cell.alpha for cell in cells)
    chosen = [cell for cell in cells if cell.alpha == alpha]
    before, after = completions(chosen[0].baseline), [completions(cell.after) for cell in chosen]
    suites = [part for part in before if part != VALIDATION]
    problems = {problem.id: problem for problem in read_part(folder, suites[0])}
    return Finding(
        model=chosen[0].model,
        recommendation=recommendation,
        alpha=alpha,
        on_suites={suite: pooled_change(before[suite], [each[suite] for each in after]) for suite in suites},
        transcripts=largest_savings(problems, before[suites[0]], after[0][suites[0]]),
    )


def _validation_changes(cells: Sequence[Cell], selection: Selection, completions: Completions) -> dict[float, Change]:
    """By alpha, all seeds together; empty where no problems were kept for validation."""
    before = completions(cells[0].baseline)
    if VALIDATION not in before:
        return {}
    return {
        alpha: pooled_change(
            before[VALIDATION],
            [completions(cell.after)[VALIDATION] for cell in cells if cell.alpha == alpha],
            two_sided(selection),
        )
        for alpha in sorted({cell.alpha for cell in cells})
    }
