"""Problems put to a model, and what it answers: the part of an evaluation that needs the model."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import NamedTuple

from transformers import PreTrainedTokenizerBase

from effreason.errors import StepFailure
from effreason.generation import Generator, Limits, OnCompletion, Request
from effreason.problems.files import read_part
from effreason.progress import Progress
from effreason.prompts import render
from effreason.records import Completion, Problem
from effreason.specs import EvaluateSpec, Protocol
from effreason.workbench import Workbench


class Asked(NamedTuple):
    """One problem of one suite. Made by `questions`."""

    suite: str
    problem: Problem
    request: Request
    limits: Limits


def questions(
    spec: EvaluateSpec, parts: Iterable[str], folder: Path, tokenizer: PreTrainedTokenizerBase
) -> Iterator[Asked]:
    """Yield every problem of `parts`, as far as they lie in `folder`, each asked as its suite is.

    Raises `UserError` where the model cannot be asked in this way.
    """
    for part in parts:
        asking = spec.asking(part)
        protocol = asking.protocol
        limits = Limits(protocol.temperature, protocol.top_p, protocol.max_tokens)
        for problem in read_part(folder, part):
            prompt = render(asking.prompt, problem.question, tokenizer)
            yield Asked(part, problem, Request(prompt, protocol.samples, seed_of(protocol, problem)), limits)


def seed_of(protocol: Protocol, problem: Problem) -> int:
    """Return a seed of the problem and the protocol alone, so that every model gets the same random numbers."""
    return Random(f"{protocol.seed}/{problem.id}").getrandbits(32)


def answers(generator: Generator, asked: Sequence[Asked], bench: Workbench) -> list[list[Completion]]:
    """Return the completions of each of `asked`; those with the same limits are generated in one call."""
    total = sum(each.request.count for each in asked)
    found: dict[int, list[Completion]] = {}

    def tell(done: int) -> None:
        if bench.stopping.is_set():
            raise StepFailure(
                f"The evaluation was stopped after {done} of {total} completions.",
                "Run the experiment again to evaluate from the start.",
            )
        bench.tell(Progress(phase="generate", done=done, total=total))

    tell(0)
    for limits in dict.fromkeys(each.limits for each in asked):
        places = [place for place, each in enumerate(asked) if each.limits == limits]
        before = sum(map(len, found.values()))
        groups = generator.generate([asked[place].request for place in places], limits, partial(_further, tell, before))
        found.update(zip(places, groups, strict=True))
    return [found[place] for place in range(len(asked))]


def _further(tell: OnCompletion, before: int, done: int) -> None:
    """Report how many completions are done in all, of which `before` were by an earlier call."""
    tell(before + done)
