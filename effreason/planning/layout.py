"""The steps of an experiment, in an order in which each comes after what it builds on."""

from collections.abc import Iterator
from typing import NamedTuple

from effreason.choices import Vllm, VllmServer
from effreason.experiment import CellKey, Experiment, Resources
from effreason.planning.devices import GIB
from effreason.specs import Address, Cell, EvaluateSpec, GateSpec, PrepareSpec, ReportSpec, Spec, TrainSpec


class Node(NamedTuple):
    """One step of the experiment with the words by which a person knows it."""

    label: str
    spec: Spec


def steps(experiment: Experiment) -> Iterator[Node]:
    """Yield every step of the sweep in an order in which each comes after what it builds on."""
    preparation = experiment.prepare_spec()
    yield Node("prepare", preparation)
    cells: list[Cell] = []
    for model in experiment.models:
        baseline = experiment.evaluate_spec(model, None, preparation.address)
        yield Node(f"evaluate {model.name}", baseline)
        if model in experiment.concise_models():
            concise = experiment.concise_evaluate_spec(model, preparation.address)
            yield Node(f"evaluate {model.name} concise", concise)
        for key in experiment.cells_of(model):
            cell, nodes = _cell(experiment, key, preparation.address, baseline.address)
            cells.append(cell)
            yield from nodes
    yield Node("report", experiment.report_spec(tuple(cells), preparation.address))


def _cell(experiment: Experiment, key: CellKey, problems: Address, baseline: Address) -> tuple[Cell, list[Node]]:
    training = experiment.train_spec(key, problems)
    after = experiment.evaluate_spec(key.model, training.address, problems)
    cell = experiment.cell(key, training.address, baseline, after.address)
    return cell, [Node(f"train {key.label}", training), Node(f"evaluate {key.label}", after)]


def gpus_of(spec: Spec, processes: int) -> int:
    """Return how many GPUs the step uses, where there are some; `processes` make a training run."""
    side_by_side = spec.engine.tensor_parallel if isinstance(spec.engine, Vllm) else 1
    match spec:
        case TrainSpec():
            return max(processes, side_by_side)
        case EvaluateSpec():
            return 0 if isinstance(spec.engine, VllmServer) else side_by_side
        case PrepareSpec() | ReportSpec() | GateSpec():
            return 0


def part_of_gpu(memory: int | None, resources: Resources) -> float:
    """Return the fraction that a step takes of each of its GPUs, which has `memory` bytes: more than 1 of one that is
    too small.

    It is all of a GPU whose memory is unknown.
    """
    if resources.gpu_memory_gib is None:
        return resources.gpu_share
    return 1.0 if memory is None else resources.gpu_memory_gib * GIB / memory
