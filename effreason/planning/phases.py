"""What is in memory at the same time, and the peak of it over the phases of a step.

Generation and update follow one another, so the peak is the larger of the two; with `overlap` it is their sum. Several
processes share the prompts; under zero2 also the moments and gradients, under fsdp the weights too, which are gathered
to generate.
"""

from dataclasses import dataclass
from typing import NamedTuple

from effreason.catalogue import Shape
from effreason.choices import Engine, FullWeights, OwnSampler, SftShortest, Vllm, VllmServer
from effreason.experiment import Resources
from effreason.planning.devices import GIB, Device
from effreason.planning.memory import (
    CPU_MICROBATCH_TOKENS,
    Sampling,
    activation_bytes,
    autocast_bytes,
    backward_bytes,
    drawing_bytes,
    gradient_bytes,
    head_bytes,
    in_bfloat16,
    keeps_reference,
    moment_bytes,
    prefill_bytes,
    row_bytes,
    rows_side_by_side,
    state_bytes,
    trained_parameters,
    weight_bytes,
)
from effreason.specs import Training

CONTEXT_BYTES = round(0.6 * GIB)
"""Bytes of libraries, kernels and what the driver keeps of them."""
FRAGMENTATION = 0.05
"""The share of all else for blocks that the allocator has and cannot use."""


class Part(NamedTuple):
    """An amount of memory in bytes and its purpose."""

    name: str
    bytes: int


@dataclass(frozen=True)
class Phase:
    """The contents of memory at the fullest moment of a phase."""

    name: str
    parts: tuple[Part, ...]

    @property
    def bytes(self) -> int:
        """All bytes, overhead included."""
        return CONTEXT_BYTES + round((1 + FRAGMENTATION) * self.used)

    @property
    def used(self) -> int:
        """The bytes without overhead."""
        return sum(part.bytes for part in self.parts)


@dataclass(frozen=True)
class Memory:
    """The memory that one process of a step needs. Made here; read by the plan."""

    phases: tuple[Phase, ...]
    rows: int
    """Completions that are decoded concurrently."""

    @property
    def fullest(self) -> Phase:
        return max(self.phases, key=lambda phase: phase.bytes)

    @property
    def peak(self) -> int:
        """The peak in bytes."""
        return self.fullest.bytes


def generation(
    known: Shape, held: tuple[Part, ...], asked: Sampling, bytes_per_number: int, device: Device
) -> tuple[Phase, int]:
    """Return the phase, and the number of concurrent rows in it. `held` is in memory besides."""
    free = device.memory - Phase("", held).bytes
    rows = rows_side_by_side(known, asked, bytes_per_number, max(0, free), device)
    cache = Part("keys and values", rows * row_bytes(known, asked.length, bytes_per_number))
    prefill = Part("reading prompts", prefill_bytes(known, asked, rows, bytes_per_number))
    drawing = Part("drawing tokens", drawing_bytes(known, rows))
    return Phase("generate", (*held, cache, prefill, drawing)), rows


def drawn_by(engine: Vllm | VllmServer, held: tuple[Part, ...], asked: Sampling) -> tuple[Phase, int]:
    """Return the same as `generation`, where another engine draws; its own memory is in `held`."""
    rows = engine.rows if isinstance(engine, Vllm) else engine.parallel
    return Phase("generate", held), min(asked.completions, rows)


def engine_parts(known: Shape, engine: Engine, device: Device) -> tuple[Part, ...]:
    """Return what a generation engine in the step's own process holds throughout: bfloat16 on a GPU, else float32."""
    if not isinstance(engine, Vllm):
        return ()
    size = 2 if device.gpu else 4
    return (
        Part("the engine's weights", size * known.parameters // engine.tensor_parallel),
        Part("the engine's keys and values", round(engine.cache_gib * GIB)),
        Part("drawing tokens", drawing_bytes(known, engine.rows)),
    )


def evaluation_memory(known: Shape, asked: Sampling, device: Device, engine: Engine = OwnSampler()) -> Memory:
    """Return the memory of an evaluation: bfloat16 on a GPU, else float32."""
    size = 2 if device.gpu else 4
    if isinstance(engine, OwnSampler):
        phase, rows = generation(known, (Part("weights", size * known.parameters),), asked, size, device)
    else:
        phase, rows = drawn_by(engine, engine_parts(known, engine, device), asked)
    return Memory((phase,), rows)


def training_memory(
    known: Shape, training: Training, asked: Sampling, device: Device, resources: Resources = Resources()
) -> Memory:
    """Return the memory of each process of a training run; `asked` is what one process samples in a step."""
    half = in_bfloat16(training, device)
    held = (*_held(known, training, half, resources), *engine_parts(known, training.engine, device))
    copies = Part("bfloat16 copies", autocast_bytes(known, training.weights) if half else 0)
    gathered = Part("gathered weights", weight_bytes(known, training.weights, half) if _sharded(resources) else 0)
    size = state_bytes(training.weights, half)
    if isinstance(training.engine, OwnSampler):
        generate, rows = generation(known, _present(*held, copies, gathered), asked, size, device)
    else:
        generate, rows = drawn_by(training.engine, held, asked)
    update = Phase("update", _present(*held, *_learning(known, training, half, asked, device, resources)))
    if not training.overlap:
        return Memory((generate, update), rows)
    both = (*update.parts, *(part for part in generate.parts if part not in held))
    return Memory((Phase("generate and update", both),), rows)


def _held(known: Shape, training: Training, half: bool, resources: Resources) -> tuple[Part, ...]:
    """Return what is held throughout."""
    weights, trained = training.weights, trained_parameters(known, training.weights)
    adapters = 0 if isinstance(weights, FullWeights) else 4 * trained
    whole = weight_bytes(known, weights, half)
    processes = resources.processes
    samples_from_a_copy = isinstance(training.algorithm, SftShortest) and isinstance(weights, FullWeights)
    return _present(
        Part("weights", whole // (processes if _sharded(resources) else 1)),
        Part("adapters", adapters),
        Part("moments", moment_bytes(trained) // (1 if resources.sharding == "ddp" else processes)),
        Part("reference", whole if keeps_reference(training) else 0),
        Part("copy to sample from", whole + adapters if training.overlap or samples_from_a_copy else 0),
    )


def _learning(
    known: Shape, training: Training, half: bool, asked: Sampling, device: Device, resources: Resources
) -> tuple[Part, ...]:
    """Return what an update adds."""
    row = asked.prompt_tokens + asked.max_tokens
    tokens = _tokens_of_a_microbatch(training, asked, device)
    gradients = gradient_bytes(trained_parameters(known, training.weights))
    several = resources.processes > 1 and resources.sharding == "ddp"
    return _present(
        Part("gradients", gradients // (1 if resources.sharding == "ddp" else resources.processes)),
        Part("gradient buckets", gradients if several else 0),
        Part("activations", activation_bytes(known, training, half, tokens, row)),
        *_passing(known, training, half, tokens),
    )


def _passing(known: Shape, training: Training, half: bool, tokens: int) -> tuple[Part, ...]:
    """Return the largest of what lasts for part of an update, and the copies unless checkpointing frees them."""
    copies = Part("bfloat16 copies", autocast_bytes(known, training.weights) if half else 0)
    logits = Part("logits", head_bytes(known, training, half, tokens))
    gradients = Part("gradients of a layer", backward_bytes(known, half, tokens))
    if training.gradient_checkpointing:
        return (max(copies, logits, gradients, key=lambda part: part.bytes),)
    return (copies, max(logits, gradients, key=lambda part: part.bytes))


def _sharded(resources: Resources) -> bool:
    return resources.sharding == "fsdp" and resources.processes > 1


def _present(*parts: Part) -> tuple[Part, ...]:
    return tuple(part for part in parts if part.bytes)


def _tokens_of_a_microbatch(training: Training, asked: Sampling, device: Device) -> int:
    """Return the padded tokens; a row that is longer than the budget is a micro-batch of its own."""
    budget = training.tokens_per_microbatch
    row = asked.prompt_tokens + asked.max_tokens
    return min(max(budget if device.gpu else min(budget, CPU_MICROBATCH_TOKENS), row), asked.completions * row)
