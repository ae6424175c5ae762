"""What a user asks for, and from it the spec of every step.

    models × alphas × seeds, the data, the training, the protocol of measurement, where artifacts are kept, and how
    many cells run side by side.

`experiment_file` reads it from TOML; `planning` lays it out as a table; `flows/full_sweep.py` runs it.
"""

from collections.abc import Iterator
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import (
    BeforeValidator,
    Field,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from effreason.choices import (
    Budget,
    BudgetPenalty,
    ChainSumSource,
    FolderHome,
    Home,
    HubSource,
    Launcher,
    Local,
    Model,
    Name,
    Price,
    Process,
    Prompt,
    Ray,
    ReasoningGymSource,
    Scaling,
    SftShortest,
    Sharding,
    Source,
    check_alpha,
)
from effreason.frozen import Frozen
from effreason.reading import why_unreadable
from effreason.specs import (
    COUNT_LIMIT,
    Address,
    Asking,
    Cell,
    EvaluateSpec,
    Gate,
    Night,
    PrepareSpec,
    Protocol,
    Reference,
    ReportSpec,
    Selection,
    Suite,
    Training,
    TrainSpec,
)
from effreason.suites import spelled_out

SpelledSuite = Annotated[Suite, BeforeValidator(spelled_out, json_schema_input_type=str | Suite)]
"""A table, or one of the short spellings of `effreason.suites`."""

SEED_LIMIT = 2**31
"""NumPy takes seeds below 2^32, and a night adds its date."""
Alpha = Annotated[float, WithJsonSchema({"type": "number", "minimum": 0})]
"""The strength of the penalty, in the penalty's own unit: how much of a right answer's reward length can take away."""


class Data(Frozen):
    """The problems, and the way they are put to the model."""

    source: Source = ChainSumSource()
    """The source of training and validation problems."""
    train_problems: int = Field(2000, ge=1, le=COUNT_LIMIT)
    """Problems to train on, at most: a source that has fewer gives all that it has."""
    validation_problems: int = Field(100, ge=0, le=COUNT_LIMIT)
    """Problems kept apart for choosing alpha; 0 recommends none."""
    suites: tuple[SpelledSuite, ...] = ()
    """The suites to measure on; if none is given, the test split of the source."""
    prompt: Prompt = Prompt()
    """The prompt in which the model gets every question, in training and in evaluation."""
    concise: str = "Be concise."
    """An instruction after every question, with which each model is measured without training; empty for none."""
    seed: int = 0
    """Seed of the draw of problems; another one draws other problems from a source that has more than are wanted."""

    def measured(self) -> tuple[Suite, ...]:
        return self.suites or (Suite(name=self.source.kind, source=self.source),)

    def askings(self, usual: Protocol) -> tuple[Asking, ...]:
        """Return the suites whose prompt or protocol differs from the others. Raises `ValueError` for a bad
        protocol."""
        askings = (
            Asking(suite=suite.name, prompt=suite.prompt or self.prompt, protocol=_protocol(suite, usual))
            for suite in self.measured()
        )
        return tuple(asking for asking in askings if (asking.prompt, asking.protocol) != (self.prompt, usual))

    def out_of_distribution(self) -> tuple[Name, ...]:
        """Return the names of the suites whose problems are of another kind than those that are trained on."""
        by_kind = {True: "in-distribution", False: "out-of-distribution"}
        return tuple(
            suite.name
            for suite in self.measured()
            if (suite.role or by_kind[_alike(suite.source, self.source)]) == "out-of-distribution"
        )


def _protocol(suite: Suite, usual: Protocol) -> Protocol:
    try:
        return suite.protocol(usual)
    except ValidationError as error:
        raise ValueError(f"The suite {suite.name}: {error.errors()[0]['ctx']['error']}") from None


def _alike(one: Source, other: Source) -> bool:
    """Return whether two sources are of one kind, and where many tasks or data sets are of that kind, the same one."""
    match one, other:
        case ReasoningGymSource(), ReasoningGymSource():
            return one.task == other.task
        case HubSource(), HubSource():
            return one.id == other.id
    return one.kind == other.kind


class Resources(Frozen):
    """The resources of the machine that steps may use."""

    parallel: int | None = Field(None, ge=1)
    """The most steps that run concurrently; None is as many as fit on the GPUs, or one for each core up to 4."""
    threads: int | None = Field(None, ge=1)
    """CPU threads of each step; None divides the cores among the concurrent steps."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where models run: `auto` is a GPU where there is one, else the CPU."""
    gpu_share: float = Field(1.0, gt=0, le=1)
    """The share of a GPU that each step gets that uses one: 0.5 lets two steps share it. docs/gpus.md."""
    gpu_memory_gib: float | None = Field(None, gt=0)
    """The same in GiB of GPU memory, in place of gpu_share."""
    retries: int = Field(1, ge=0)
    """The number of retries of a step that failed through no fault of the experiment."""
    processes: int = Field(1, ge=1)
    """Processes of one training run, each with a GPU of its own where there are GPUs."""
    sharding: Sharding = "ddp"
    """What these processes divide among them: prompts alone (ddp), the optimiser's state as well (zero2), or the
    weights too (fsdp)."""
    report_to: tuple[str, ...] = ()
    """Trackers that get the metrics of every training step: tensorboard, wandb, mlflow or trackio, if installed."""
    launcher: Launcher = Process()
    """Whether each step is a child process or has a container of its own."""
    engine: Scaling = Local()
    """The runtime engine, which places each step: this machine's own queue, or a Ray cluster. docs/scaling.md."""
    price: Price | None = None
    """The price of the machine, for the sums in the report and in the Prefect UI. docs/cost.md."""
    budget: Budget | None = None
    """The budget after which no further training run begins."""

    @model_validator(mode="after")
    def one_measure_of_a_gpu(self) -> Self:
        if self.gpu_memory_gib is not None and self.gpu_share < 1:
            raise ValueError("gpu_share and gpu_memory_gib say the same thing in two ways; leave one of them out.")
        return self

    @model_validator(mode="after")
    def parts_that_ray_can_give(self) -> Self:
        if isinstance(self.engine, Ray):
            if self.gpu_memory_gib is not None:
                raise ValueError("Ray counts GPUs, not their memory; give gpu_share instead of gpu_memory_gib.")
            if self.gpu_share < 1 < self.processes:
                raise ValueError(
                    "Ray assigns either part of one GPU or several whole ones; leave gpu_share or processes out."
                )
        return self

    @model_validator(mode="after")
    def money_has_a_price(self) -> Self:
        if self.budget is not None and self.budget.money is not None and self.price is None:
            raise ValueError("budget.money needs a price, such as price = { gpu_hour = 2.5 }.")
        return self


class CellKey(NamedTuple):
    """The model, alpha and seed of one cell of the sweep."""

    model: Model
    alpha: float
    seed: int

    @property
    def label(self) -> str:
        """A label such as `reasoner alpha=0.2 s0`."""
        return f"{self.model.name} alpha={self.alpha:g} s{self.seed}"


class Experiment(Frozen):
    """All settings of a sweep; one TOML file."""

    name: Name
    """Name of the experiment, in labels, in the Prefect UI and in the report."""
    models: tuple[Model, ...] = Field(min_length=1)
    """The models to train, each with every alpha and every seed."""
    data: Data = Data()
    """The problems, and the prompt in which they are put to the model."""
    training: Training = Training()
    """The settings of every training run."""
    alphas: tuple[Alpha, ...] = Field(min_length=1)
    """The values of alpha, one cell each."""
    seeds: tuple[Annotated[int, Field(ge=0, le=SEED_LIMIT)], ...] = Field((0,), min_length=1)
    """Seeds of the training runs, one cell each for every model and alpha; several show how far runs differ by
    chance."""
    evaluation: Protocol = Protocol()
    """The measurement of every model, the same before and after training."""
    selection: Selection = Selection()
    """The rule that recommends an alpha."""
    gate: Gate = Gate()
    """The gate of nightly runs."""
    night: Night | None = None
    """The date that a nightly run stands for; None: the date for which it was scheduled, in UTC."""
    store: Home = FolderHome()
    """Where artifacts are kept; what is there already is not made again."""
    runtime: Resources = Resources()
    """The resources of the machine and the way steps run, which change speed and cost and are in no fingerprint."""

    @field_validator("alphas")
    @classmethod
    def alphas_suit_the_penalty(cls, alphas: tuple[float, ...], info: ValidationInfo) -> tuple[float, ...]:
        # A training that was refused is not among the data; its own mistakes are told instead.
        if "training" in info.data:
            for alpha in alphas:
                check_alpha(info.data["training"].penalty, alpha)
        return alphas

    @model_validator(mode="after")
    def nothing_twice(self) -> Self:
        suites = tuple(suite.name for suite in self.data.measured())
        models, alphas = tuple(model.name for model in self.models), tuple(f"{alpha:g}" for alpha in self.alphas)
        for field, values in {"models": models, "alphas": alphas, "seeds": self.seeds, "suites": suites}.items():
            if len(set(values)) < len(values):
                raise ValueError(f"{field} has the same entry twice; give each its own name or leave one out.")
        if "validation" in suites:
            raise ValueError(
                '"validation" is reserved for the part on which alpha is chosen; give the suite another name.'
            )
        return self

    @model_validator(mode="after")
    def every_suite_can_be_asked(self) -> Self:
        self.data.askings(self.evaluation)
        return self

    @model_validator(mode="after")
    def a_budget_can_be_kept_to(self) -> Self:
        if isinstance(self.training.penalty, BudgetPenalty) and self.data.prompt.budgets is None:
            raise ValueError(
                "the penalty budget needs the budgets of prompts; set data.prompt.budgets = [100, 1000], say."
            )
        return self

    @model_validator(mode="after")
    def one_process_trains_beside_an_engine(self) -> Self:
        if self.training.samples_elsewhere and self.runtime.processes > 1:
            raise ValueError(
                f"The generation engine {self.training.engine.kind} supports one training process, but "
                f"runtime.processes is {self.runtime.processes}; set it to 1, or drop training.engine."
            )
        return self

    @model_validator(mode="after")
    def the_gate_looks_at_what_is_measured(self) -> Self:
        unknown = set(self.gate.suites) - {suite.name for suite in self.data.measured()}
        if unknown:
            raise ValueError(f"gate.suites names {', '.join(sorted(unknown))}, which is not among data.suites.")
        return self

    def cells(self) -> Iterator[CellKey]:
        """Yield every training run of the sweep, models outermost."""
        for model in self.models:
            yield from self.cells_of(model)

    def cells_of(self, model: Model) -> Iterator[CellKey]:
        """Yield every training run of one model."""
        for alpha in self.alphas:
            for seed in self.seeds:
                yield CellKey(model, alpha, seed)

    def cautions(self) -> Iterator[str]:
        """Yield one sentence for each setting that is allowed but probably unintended."""
        if self.training.erases_alpha and len(self.alphas) > 1:
            yield (
                "Group-normalised advantages are nearly the same for every alpha where all of a group are right, "
                'so this sweep varies little; take { kind = "leave-one-out" } or { kind = "batch-normalised" }.'
            )
        if isinstance(self.training.algorithm, SftShortest) and len(self.alphas) > 1:
            yield "Supervised learning does not use alpha, so every alpha trains the same; give one."

    def prepare_spec(self) -> PrepareSpec:
        return PrepareSpec(
            source=self.data.source,
            train_problems=self.data.train_problems,
            validation_problems=self.data.validation_problems,
            suites=self.data.measured(),
            seed=self.data.seed,
        )

    def train_spec(self, key: CellKey, problems: Address) -> TrainSpec:
        return TrainSpec(
            model=key.model,
            problems=problems,
            prompt=self.data.prompt,
            training=self.training,
            alpha=key.alpha,
            seed=key.seed,
        )

    def evaluate_spec(self, model: Model, policy: Address | None, problems: Address) -> EvaluateSpec:
        return EvaluateSpec(
            model=model,
            policy=policy,
            problems=problems,
            prompt=self.data.prompt,
            protocol=self.evaluation,
            suites=self.data.askings(self.evaluation),
        )

    def concise_models(self) -> tuple[Model, ...]:
        """Return the models also measured without training, asked for brevity: all that can read the instruction."""
        instruction = self.data.concise
        return tuple(model for model in self.models if instruction and not why_unreadable(model, instruction))

    def concise_evaluate_spec(self, model: Model, problems: Address) -> EvaluateSpec:
        """Return the evaluation of the base model, asked for brevity."""
        return self.evaluate_spec(model, None, problems).model_copy(update={"instruction": self.data.concise})

    def references(self, problems: Address) -> tuple[Reference, ...]:
        """Return what the training runs have to beat, one for each model."""
        if not self.data.concise:
            return ()
        return tuple(self._reference(model, problems) for model in self.models)

    def _reference(self, model: Model, problems: Address) -> Reference:
        reason = why_unreadable(model, self.data.concise)
        return Reference(
            model=model.name,
            instruction=self.data.concise,
            evaluation=None if reason else self.concise_evaluate_spec(model, problems).address,
            reason=reason,
        )

    def report_spec(self, cells: tuple[Cell, ...], problems: Address) -> ReportSpec:
        """Return the report of `cells`, which names the other cells of the sweep as not run."""
        told = {(cell.model, cell.alpha, cell.seed) for cell in cells}
        return ReportSpec(
            experiment=self.name,
            problems=problems,
            cells=cells,
            held_back=tuple(key.label for key in self.cells() if (key.model.name, key.alpha, key.seed) not in told),
            references=self.references(problems),
            out_of_distribution=self.data.out_of_distribution(),
            selection=self.selection,
        )

    def cell(self, key: CellKey, policy: Address, baseline: Address, after: Address) -> Cell:
        """Return the row of the report that stands for `key`."""
        return Cell(
            model=key.model.name,
            alpha=key.alpha,
            seed=key.seed,
            algorithm=self.training.algorithm.kind,
            penalty=self.training.penalty.kind,
            policy=policy,
            baseline=baseline,
            after=after,
        )
