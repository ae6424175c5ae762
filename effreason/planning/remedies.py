"""What to change in a training that does not fit, the gentlest first.

1. `gradient_checkpointing`: the same result, a third more time in the update;
2. smaller micro-batches: the same result, more and smaller passes;
3. no overlap of generation and update: the same method, less of the GPU in use;
4. adapters in place of all weights (Hu et al. 2021), which learn less; then over weights in 4 bits, which also round.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, product

from effreason.catalogue import Shape
from effreason.choices import FullWeights, Lora, Qlora, Weights
from effreason.experiment import Resources
from effreason.planning.devices import Device
from effreason.planning.memory import Sampling
from effreason.planning.phases import training_memory
from effreason.specs import Training

SMALLEST_MICROBATCH = 2048
"""Tokens; a row that is longer is a micro-batch of its own."""


@dataclass(frozen=True)
class Remedy:
    """A change of the experiment's `[training]`, and the memory that is needed then."""

    change: str
    """The change as it is written in the file."""
    memory: int
    """Bytes at the peak."""
    fits: bool


def remedies(
    known: Shape, training: Training, asked: Sampling, device: Device, resources: Resources = Resources()
) -> list[Remedy]:
    """Return the changes that suffice by themselves, each field no further than it must; where none is enough, the
    gentlest combination that is.

    `asked` is what one process samples in a step.
    """

    def peak(changes: dict[str, object]) -> int:
        changed = training.model_copy(update=changes)
        return training_memory(known, changed, asked, device, resources).peak

    def remedy(changes: dict[str, object]) -> Remedy:
        memory = peak(changes)
        return Remedy(_written(changes), memory, memory <= device.memory)

    present = peak({})
    alone = []
    for field, values in _options(training):
        for value in values:
            alone.append(remedy({field: value}))
            if alone[-1].fits:
                break
    helpful = [each for each in alone if each.memory < present]
    if any(each.fits for each in helpful):
        return helpful
    together = (remedy(changes) for changes in _combinations(training) if len(changes) > 1)
    return helpful + list(islice((each for each in together if each.fits), 1))


def _options(training: Training) -> Iterator[tuple[str, list[object]]]:
    """Yield the alternatives of each field, the gentlest field first."""
    if not training.gradient_checkpointing:
        yield "gradient_checkpointing", [True]
    yield "tokens_per_microbatch", list(_halves(training.tokens_per_microbatch))
    if training.overlap:
        yield "overlap", [False]
    yield "weights", list(_lighter(training.weights))


def _combinations(training: Training) -> Iterator[dict[str, object]]:
    """Yield all combinations of the options; those that change the gentler fields only come first."""
    options = list(_options(training))[::-1]
    for values in product(*[[None, *values] for _, values in options]):
        chosen = zip(options, values, strict=True)
        yield {field: value for (field, _), value in reversed(list(chosen)) if value is not None}


def _halves(tokens: int) -> Iterator[int]:
    while tokens // 2 >= SMALLEST_MICROBATCH:
        tokens //= 2
        yield tokens


def _lighter(weights: Weights) -> Iterator[Weights]:
    if isinstance(weights, FullWeights):
        yield Lora()
        yield Qlora()
    elif isinstance(weights, Lora):
        yield Qlora(rank=weights.rank, scale=weights.scale, dropout=weights.dropout)


def _written(changes: dict[str, object]) -> str:
    return ", ".join(f"{field} = {_toml(value)}" for field, value in changes.items())


def _toml(value: object) -> str:
    if isinstance(value, FullWeights | Lora | Qlora):
        return f'{{ kind = "{value.kind}" }}'
    return str(value).lower()
