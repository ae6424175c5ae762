"""What a user asks for, and from it the spec of every step.

    models × alphas × seeds, the data, the training, the protocol of measurement, where artifacts are kept, and how
    many cells run side by side.

`experiment_file` reads it from TOML; `planning` lays it out as a table; `flows/full_sweep.py` runs it.
"""

from collections.abc import Iterator
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from effreason.choices import ChainSumSource, FolderHome, Home, Model, Name, Prompt, Source
from effreason.frozen import Frozen
from effreason.specs import (
    Address,
    Cell,
    EvaluateSpec,
    PrepareSpec,
    Protocol,
    ReportSpec,
    Selection,
    Suite,
    Training,
    TrainSpec,
)


def _leaves_a_reward(alpha: float) -> float:
    if not 0 <= alpha < 1:
        raise ValueError(
            f"alpha {alpha:g} is outside [0, 1): at 1 a long right answer would earn no more than a wrong one; "
            f"usual values are 0.05 to 0.4."
        )
    return alpha


Alpha = Annotated[
    float, AfterValidator(_leaves_a_reward), WithJsonSchema({"type": "number", "minimum": 0, "exclusiveMaximum": 1})
]
"""How much of a right answer's reward length can take away."""


class Data(Frozen):
    """Which problems, and how they are put to the model."""

    source: Source = ChainSumSource()
    """Where training and validation problems come from."""
    train_problems: int = Field(2000, ge=1)
    validation_problems: int = Field(100, ge=0)
    """Kept apart for choosing alpha; 0 recommends none."""
    suites: tuple[Suite, ...] = ()
    """What to measure on; none given measures on the test split of the source."""
    prompt: Prompt = Prompt()
    seed: int = 0

    def measured(self) -> tuple[Suite, ...]:
        return self.suites or (Suite(name=self.source.kind, source=self.source),)


class Resources(Frozen):
    """What the machine may spend."""

    parallel: int | None = Field(None, ge=1)
    """Steps that run side by side; None is one for each GPU, or without one, one for each core up to 4."""
    threads: int | None = Field(None, ge=1)
    """CPU threads of each step; None divides the cores among the steps that run side by side."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    retries: int = Field(1, ge=0)
    """How often a step that failed through no fault of the experiment is tried again."""


class CellKey(NamedTuple):
    """Which cell of the sweep."""

    model: Model
    alpha: float
    seed: int

    @property
    def label(self) -> str:
        """Such as `reasoner alpha=0.2 s0`."""
        return f"{self.model.name} alpha={self.alpha:g} s{self.seed}"


class Experiment(Frozen):
    """One TOML file."""

    name: Name
    models: tuple[Model, ...] = Field(min_length=1)
    alphas: tuple[Alpha, ...] = Field(min_length=1)
    """One cell each."""
    seeds: tuple[int, ...] = Field((0,), min_length=1)
    data: Data = Data()
    training: Training = Training()
    evaluation: Protocol = Protocol()
    selection: Selection = Selection()
    store: Home = FolderHome()
    runtime: Resources = Resources()

    @model_validator(mode="after")
    def nothing_twice(self) -> Self:
        suites = tuple(suite.name for suite in self.data.measured())
        models = tuple(model.name for model in self.models)
        for field, values in {"models": models, "alphas": self.alphas, "seeds": self.seeds, "suites": suites}.items():
            if len(set(values)) < len(values):
                raise ValueError(f"{field} has the same entry twice; give each its own name or leave one out.")
        if "validation" in suites:
            raise ValueError('"validation" is the name of the part kept for choosing alpha; name the suite otherwise.')
        return self

    def cells(self) -> Iterator[CellKey]:
        """Every training of the sweep, models outermost."""
        for model in self.models:
            yield from self.cells_of(model)

    def cells_of(self, model: Model) -> Iterator[CellKey]:
        """Every training of one model."""
        for alpha in self.alphas:
            for seed in self.seeds:
                yield CellKey(model, alpha, seed)

    def preparation(self) -> PrepareSpec:
        return PrepareSpec(
            source=self.data.source,
            train_problems=self.data.train_problems,
            validation_problems=self.data.validation_problems,
            suites=self.data.measured(),
            seed=self.data.seed,
        )

    def fine_tuning(self, key: CellKey, problems: Address) -> TrainSpec:
        return TrainSpec(
            model=key.model,
            problems=problems,
            prompt=self.data.prompt,
            training=self.training,
            alpha=key.alpha,
            seed=key.seed,
        )

    def measurement(self, model: Model, policy: Address | None, problems: Address) -> EvaluateSpec:
        return EvaluateSpec(
            model=model,
            policy=policy,
            problems=problems,
            prompt=self.data.prompt,
            protocol=self.evaluation,
        )

    def summary(self, cells: tuple[Cell, ...], problems: Address) -> ReportSpec:
        return ReportSpec(experiment=self.name, problems=problems, cells=cells, selection=self.selection)

    def cell(self, key: CellKey, policy: Address, baseline: Address, after: Address) -> Cell:
        """The row of the report that stands for `key`."""
        return Cell(
            model=key.model.name,
            alpha=key.alpha,
            seed=key.seed,
            algorithm=self.training.algorithm,
            penalty=self.training.penalty.kind,
            policy=policy,
            baseline=baseline,
            after=after,
        )
