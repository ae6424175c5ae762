"""The engine that a spec names, opened."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from effreason.choices import Engine, Model, OwnSampler, Vllm, VllmServer
from effreason.generation import Generator
from effreason.generation.sampler import open_sampler
from effreason.generation.vllm_engine import VllmGenerator, open_vllm
from effreason.generation.vllm_server import ServedGenerator
from effreason.models import Device, Stored, load, stored


@dataclass(frozen=True)
class Opened:
    """A model that can be sampled from. Made by `opened`; read by the evaluate step."""

    generator: Generator
    tokenizer: PreTrainedTokenizerBase
    room: int | None = None
    """The most tokens of a prompt and its completion together; None is unlimited."""


@contextmanager
def opened(engine: Engine, model: Model, device: Device, policy: Path | None, scratch: Path) -> Iterator[Opened]:
    """Open the model, or the weights in the folder `policy`, in the generation engine, which ends with the block.

    Raises as `effreason.models.load` and the engine do.
    """
    if isinstance(engine, OwnSampler):
        loaded = load(model, device, "auto", policy)
        sampler = open_sampler(loaded)
        yield Opened(sampler, loaded.tokenizer, sampler.room)
        return
    found = stored(model, scratch / "stored", policy)
    with closing(holding(engine, found)) as generator:
        yield Opened(generator, found.tokenizer, generator.room)


def holding(engine: Vllm | VllmServer, model: Stored, *, scored: bool = False) -> VllmGenerator | ServedGenerator:
    """Return a generation engine with weights of its own: the model's, which may be replaced. Close it in the end."""
    if isinstance(engine, Vllm):
        return open_vllm(engine, model, scored=scored)
    return ServedGenerator(engine, model, scored=scored)
