"""What an experiment will cost, before it is spent: every step with its tokens, memory, disk and time.

The figures are estimates and say so. Tokens: completions × the tokens that the base model's evaluation measured where
it is in the store, else half of the limit. Memory: weights, gradients, Adam's two moments, the cache of keys and values
of all rows at their limit, and the largest array of logits. Time: two operations a parameter and token in generation,
six in training (Kaplan et al. 2020, arXiv 2001.08361), at the rate of the device, plus a fixed cost a token.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from effreason.artifacts import Evaluation, Manifest
from effreason.catalogue import Shape, shape
from effreason.choices import Lora
from effreason.experiment import CellKey, Experiment
from effreason.specs import Address, Cell, EvaluateSpec, PrepareSpec, ReportSpec, Spec, TrainSpec

Find = Callable[[Address], Manifest | None]
"""The store's `find`."""


@dataclass(frozen=True)
class Device:
    """How fast tokens pass through a model."""

    operations_per_second: float
    """What is sustained, not the data sheet's peak."""
    seconds_per_token: float
    """Spent on each token of a full batch whatever the model's size: operators started, answers graded."""
    bytes_per_number: int
    """Of weights and cache: 4 in float32, 2 in bfloat16."""


CPU = Device(operations_per_second=6e10, seconds_per_token=2e-4, bytes_per_number=4)
"""Two cores; measured on the built-in reasoner and on SmolLM2-135M."""
GPU = Device(operations_per_second=1e14, seconds_per_token=1e-5, bytes_per_number=2)
"""A data-centre GPU at about a tenth to a third of its peak, as decoding and short micro-batches leave it."""

START_SECONDS = 12.0
"""Interpreter, imports, loading a small model."""
ROWS_AT_ONCE = 256
"""Completions that are decoded side by side when memory is plentiful."""
BYTES_PER_TRANSCRIPT_TOKEN = 6
"""Text of a stored completion with its columns, compressed."""


class Cost(NamedTuple):
    """Estimates; None where the model's shape is not known."""

    tokens: int
    """Generated."""
    memory: int | None
    """Bytes, of the GPU or of the machine where it has none."""
    disk: int | None
    """Bytes added to the store."""
    seconds: float | None


@dataclass(frozen=True)
class PlannedStep:
    """One row of the plan."""

    label: str
    spec: Spec
    done: bool
    cost: Cost


class Node(NamedTuple):
    """One step of the experiment with the words a person knows it by."""

    label: str
    spec: Spec


def steps(experiment: Experiment) -> Iterator[Node]:
    """Every step of the sweep in an order in which each comes after what it builds on."""
    preparation = experiment.preparation()
    yield Node("prepare", preparation)
    cells: list[Cell] = []
    for model in experiment.models:
        baseline = experiment.measurement(model, None, preparation.address)
        yield Node(f"evaluate {model.name}", baseline)
        for key in experiment.cells_of(model):
            cell, nodes = _cell(experiment, key, preparation.address, baseline.address)
            cells.append(cell)
            yield from nodes
    yield Node("report", experiment.summary(tuple(cells), preparation.address))


def _cell(experiment: Experiment, key: CellKey, problems: Address, baseline: Address) -> tuple[Cell, list[Node]]:
    training = experiment.fine_tuning(key, problems)
    after = experiment.measurement(key.model, training.address, problems)
    cell = experiment.cell(key, training.address, baseline, after.address)
    return cell, [Node(f"train {key.label}", training), Node(f"evaluate {key.label}", after)]


def plan(experiment: Experiment, find: Find, device: Device) -> list[PlannedStep]:
    """Lay out every step, done or to do, with what it will cost."""
    measured: dict[str, float] = {}
    planned = []
    for label, spec in steps(experiment):
        found = find(spec.address)
        if found and isinstance(spec, EvaluateSpec) and spec.policy is None:
            measured[spec.model.name] = _tokens_measured(found)
        cost = _cost(spec, experiment, device, measured)
        planned.append(PlannedStep(label, spec, found is not None, cost))
    return planned


def _tokens_measured(manifest: Manifest) -> float:
    assert isinstance(manifest.artifact, Evaluation)  # noqa: S101  what an evaluate spec makes
    centres = [suite.tokens.centre for suite in manifest.artifact.suites.values() if suite.tokens]
    return max(centres, default=0.0)


def _cost(spec: Spec, experiment: Experiment, device: Device, measured: dict[str, float]) -> Cost:
    match spec:
        case PrepareSpec():
            problems = spec.train_problems + spec.validation_problems + sum(suite.problems for suite in spec.suites)
            return Cost(0, 500_000_000, problems * 1_000, START_SECONDS / 2 + problems / 500)
        case EvaluateSpec():
            return _evaluation_cost(spec, experiment, device, measured.get(spec.model.name))
        case TrainSpec():
            return _training_cost(spec, device, measured.get(spec.model.name))
        case ReportSpec():
            return Cost(0, 500_000_000, 1_000_000 * len(spec.cells), START_SECONDS)


def _evaluation_cost(spec: EvaluateSpec, experiment: Experiment, device: Device, tokens: float | None) -> Cost:
    protocol, data = spec.protocol, experiment.data
    problems = data.validation_problems + sum(suite.problems for suite in data.measured())
    completions = problems * protocol.samples
    generated = round(completions * (tokens or protocol.max_tokens / 2))
    if (known := shape(spec.model)) is None:
        return Cost(generated, None, generated * BYTES_PER_TRANSCRIPT_TOKEN, None)
    rows = min(completions, ROWS_AT_ONCE)
    memory = known.parameters * device.bytes_per_number + _cache(known, rows, protocol.max_tokens, device)
    seconds = START_SECONDS + generated * _seconds_per_token(known, 2, device)
    return Cost(generated, memory, generated * BYTES_PER_TRANSCRIPT_TOKEN, seconds)


def _training_cost(spec: TrainSpec, device: Device, tokens: float | None) -> Cost:
    training = spec.training
    generated = round(training.steps * training.completions_per_step * (tokens or training.max_tokens / 2))
    text = generated * BYTES_PER_TRANSCRIPT_TOKEN
    if (known := shape(spec.model)) is None:
        return Cost(generated, None, None, None)
    cache = _cache(known, training.completions_per_step, training.max_tokens, device)
    memory = _weights_and_moments(known, spec, device) + max(cache, _logits(known, spec, device))
    seconds = START_SECONDS + generated * (_seconds_per_token(known, 2, device) + _seconds_per_token(known, 6, device))
    return Cost(generated, memory, text + known.parameters * 4, seconds)


def _weights_and_moments(known: Shape, spec: TrainSpec, device: Device) -> int:
    """Full: float32 weights, gradients and two moments. LoRA: frozen weights, and the same four for the adapters."""
    if not isinstance(spec.training.weights, Lora):
        return known.parameters * (16 + (4 if spec.training.kl else 0))
    widths = known.head_size * (known.heads + 2 * known.kv_heads + known.heads) + 3 * known.intermediate
    adapters = known.layers * spec.training.weights.rank * (7 * known.hidden + widths)
    return known.parameters * device.bytes_per_number + 16 * adapters


def _cache(known: Shape, rows: int, tokens: int, device: Device) -> int:
    return rows * tokens * known.cache_bytes(device.bytes_per_number)


def _logits(known: Shape, spec: TrainSpec, device: Device) -> int:
    """Logits of one micro-batch with their gradient in float32, and the activations of every layer."""
    tokens = spec.training.tokens_per_microbatch
    activations = known.layers * (2 if spec.training.gradient_checkpointing else 14) * known.hidden
    return tokens * (2 * 4 * known.vocabulary + activations * device.bytes_per_number)


def _seconds_per_token(known: Shape, operations_per_parameter: int, device: Device) -> float:
    return operations_per_parameter * known.parameters / device.operations_per_second + device.seconds_per_token / 2
