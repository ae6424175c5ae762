"""Everything that a report tells, as records. Made by `gathering`; read by whatever writes a file of the report.

Figures of one model are taken from its manifest as they were measured; what is paired (the change from one model to
another) is computed from the judged completions, by the functions of `effreason.evaluation`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from effreason.artifacts import Evaluation, Manifest, Measures, Problems
from effreason.choices import Price
from effreason.evaluation.measures import Change
from effreason.evaluation.recommend import Recommendation
from effreason.problems.files import VALIDATION
from effreason.report.bundle import Group
from effreason.report.curves import Curve
from effreason.report.probed import Probed
from effreason.report.subjects import Subject
from effreason.report.transcripts import Transcript
from effreason.specs import Cell, EvaluateSpec, Reference, ReportSpec, TrainSpec

BASELINE = "base model"
CONCISE = "asked to be brief"


@dataclass(frozen=True)
class Run:
    """A cell with the artifacts that it names."""

    cell: Cell
    label: str
    """Such as `α 0.2`, with the seed where there are several."""
    policy: Manifest | None
    baseline: Manifest
    after: Manifest
    curve: Curve | None
    """None where no training run of this project lies between the two evaluations."""


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
class Beside:
    """What a training run has to beat: the base model, measured in another way, on one part."""

    model: str
    part: str
    label: str
    measures: Measures
    change: Change


@dataclass(frozen=True)
class Finding:
    """What became of one model at the alpha that is recommended for it, or at its largest alpha where none is."""

    model: str
    recommendation: Recommendation | None
    """None where two evaluations are compared and there is nothing to choose."""
    alpha: float
    label: str
    """Of the model at that alpha."""
    before: str
    """What the model was before."""
    subjects: dict[str, Subject]
    """By test suite, all seeds together."""
    transcripts: Sequence[Transcript]
    """On the first test suite, with the first seed."""


@dataclass(frozen=True)
class Sweep:
    """Made by `gathering.read_sweep`."""

    spec: ReportSpec
    problems: Manifest
    runs: Sequence[Run]
    references: Sequence[tuple[Reference, Manifest | None]]
    """What was asked for beside the cells; None where it could not be measured."""
    rows: Sequence[Row]
    besides: Sequence[Beside]
    subjects: Sequence[Subject]
    """By model and suite: the base model, the base model asked for brevity, then by alpha."""
    findings: Sequence[Finding]
    """One a model, in the order of the experiment."""
    groups: Sequence[Group]
    """The transcripts by model, alpha and suite."""
    probed: Sequence[Probed]
    """By model and suite, the base model first; empty where no probes were asked."""
    price: Price | None = None
    """Of the machine, for the sums of `costs`."""

    @property
    def parts(self) -> list[str]:
        """The test suites, then the validation part where there is one."""
        return sorted(dict.fromkeys(row.part for row in self.rows), key=lambda part: part == VALIDATION)

    @property
    def suites(self) -> list[str]:
        return [part for part in self.parts if part != VALIDATION]

    @property
    def models(self) -> list[str]:
        return list(dict.fromkeys(cell.model for cell in self.spec.cells))

    @property
    def seeds(self) -> list[int]:
        return sorted({cell.seed for cell in self.spec.cells})

    @property
    def compared(self) -> bool:
        """Whether these are two evaluations with no training run of this project between them, in place of a sweep."""
        return any(cell.names for cell in self.spec.cells)

    @property
    def recommended(self) -> dict[str, float | None]:
        """By model."""
        return {each.model: each.recommendation.alpha if each.recommendation else None for each in self.findings}

    def of(self, model: str, suite: str) -> list[Subject]:
        """Return the base model and whatever became of it."""
        return [each for each in self.subjects if (each.model, each.suite) == (model, suite)]

    def probed_of(self, model: str, suite: str) -> list[Probed]:
        return [each for each in self.probed if (each.model, each.suite) == (model, suite)]


def before_of(cell: Cell) -> str:
    """What a cell's model was before, in words."""
    return cell.names[0] if cell.names else BASELINE


def spoken(before: str) -> str:
    """Return what `before_of` says as it stands in a sentence: `the base model`, or the name in a comparison."""
    return f"the {before}" if before == BASELINE else before


def after_of(cell: Cell) -> str:
    """What became of it, all seeds together."""
    return cell.names[1] if cell.names else f"α {cell.alpha:g}"


def problems_of(manifest: Manifest) -> Problems:
    assert isinstance(manifest.artifact, Problems)  # noqa: S101  what a prepare spec makes
    return manifest.artifact


def evaluation_of(manifest: Manifest) -> Evaluation:
    assert isinstance(manifest.artifact, Evaluation)  # noqa: S101  what an evaluate spec makes
    return manifest.artifact


def evaluation_spec_of(manifest: Manifest) -> EvaluateSpec:
    assert isinstance(manifest.spec, EvaluateSpec)  # noqa: S101  as above
    return manifest.spec


def training_spec_of(manifest: Manifest) -> TrainSpec:
    assert isinstance(manifest.spec, TrainSpec)  # noqa: S101  as above
    return manifest.spec
