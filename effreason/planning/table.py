"""The table of docs/memory.md: `python -m effreason.planning.table` prints it."""

from collections.abc import Iterator

from effreason.catalogue import ON_THE_HUB, Shape
from effreason.choices import FullWeights, Lora, Qlora, Weights
from effreason.planning.devices import GIB, GPUS
from effreason.planning.memory import Sampling
from effreason.planning.phases import training_memory
from effreason.specs import Training

ASKED = Sampling(completions=256, prompts=32, prompt_tokens=256, max_tokens=1024)
"""A batch of 32 prompts × 8 completions."""
COLUMNS = ("rtx-4090", "l40s-48", "h100-80", "h200-141")


def catalogue_table() -> list[str]:
    """Return lines of Markdown: a row for each model and choice of weights."""
    heads = ["model", "parameters", "weights", "update", *(f"{gpu} ({_gib(GPUS[gpu].memory)})" for gpu in COLUMNS)]
    lines = [_line(heads), _line(["---"] * len(heads))]
    for id, known in sorted(ON_THE_HUB.items(), key=lambda item: (item[1].parameters, item[0])):
        lines += _rows(id, known)
    return lines


def _rows(id: str, known: Shape) -> Iterator[str]:
    choices: tuple[Weights, ...] = (FullWeights(), Lora(), Qlora())
    for weights in choices:
        training = Training(weights=weights, gradient_checkpointing=True, tokens_per_microbatch=8192)
        update = training_memory(known, training, ASKED, GPUS["h200-141"]).phases[1]
        fits = [_fit(known, training, gpu) for gpu in COLUMNS]
        yield _line([id.partition("/")[2], f"{known.parameters / 1e9:.2f} B", weights.kind, _gib(update.bytes), *fits])


def _fit(known: Shape, training: Training, gpu: str) -> str:
    memory = training_memory(known, training, ASKED, GPUS[gpu])
    return f"{_gib(memory.peak)}, {memory.rows} rows" if memory.peak <= GPUS[gpu].memory else "no"


def _gib(number: int) -> str:
    return f"{number / GIB:.1f}"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    print("\n".join(catalogue_table()))
