"""The evaluate step: ask every problem of every suite, judge the answers, sum them up."""

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

import torch

from effreason.artifacts import Evaluation, Measures, Problems
from effreason.errors import StepFailure
from effreason.evaluation.completions import FILE, read_completions, write_completions
from effreason.evaluation.measures import measure
from effreason.generation import Generator, Limits, Request
from effreason.generation.sampler import open_sampler
from effreason.grading import Graders
from effreason.models import Loaded, load
from effreason.problems.files import VALIDATION, read_part
from effreason.progress import Progress
from effreason.prompts import render
from effreason.records import Completion, JudgedCompletion, Judgement, Problem, Verdict
from effreason.specs import EvaluateSpec, Protocol
from effreason.workbench import Workbench

MEASURES = "measures.json"


class Asked(NamedTuple):
    """One problem of one suite."""

    suite: str
    problem: Problem
    request: Request


def make(spec: EvaluateSpec, bench: Workbench) -> Evaluation:
    """Measure a pretrained model, or a policy trained from it: completions.parquet and measures.json.

    Raises:
        UserError: the model cannot be loaded, or not be asked in this way.
        StepFailure: the evaluation was asked to stop, or the grader cannot start.
    """
    started = time.monotonic()
    bench.tell(Progress(phase="load", done=0, total=0))
    if bench.runtime.threads is not None:
        torch.set_num_threads(bench.runtime.threads)
    policy = bench.read(spec.policy, ["model/"])[1] / "model" if spec.policy else None
    loaded = load(spec.model, bench.runtime.device, "auto", policy)
    asked = list(_questions(spec, loaded, bench))
    completions = answers(open_sampler(loaded), asked, spec.protocol, bench)
    bench.tell(Progress(phase="grade", done=0, total=sum(map(len, completions))))
    completed = list(judged(asked, completions))
    bench.tell(Progress(phase="write", done=0, total=0))
    write_completions(bench.output / FILE, completed)
    return Evaluation(
        address=spec.address,
        suites=_measured(bench.output, spec.protocol),
        generated_tokens=sum(completion.tokens for completion in completed),
        seconds=round(time.monotonic() - started, 3),
    )


def _questions(spec: EvaluateSpec, loaded: Loaded, bench: Workbench) -> Iterator[Asked]:
    """The validation part, where there is one, and every suite."""
    manifest, folder = bench.read(spec.problems)
    assert isinstance(manifest.artifact, Problems)  # noqa: S101  what a prepare spec makes
    validation = [VALIDATION] if manifest.artifact.validation else []
    for suite in (*validation, *manifest.artifact.suites):
        for problem in read_part(folder, suite):
            prompt = render(spec.prompt, problem.question, loaded.tokenizer)
            seed = seed_of(spec.protocol, problem)
            yield Asked(suite, problem, Request(prompt, spec.protocol.samples, seed))


def seed_of(protocol: Protocol, problem: Problem) -> int:
    """Of the problem and the protocol alone, so that every model is asked with the same random numbers."""
    return Random(f"{protocol.seed}/{problem.id}").getrandbits(32)


def answers(
    generator: Generator, asked: Sequence[Asked], protocol: Protocol, bench: Workbench
) -> list[list[Completion]]:
    """The completions of each of `asked`, all of them generated in one call."""
    total = len(asked) * protocol.samples

    def tell(done: int) -> None:
        if bench.stopping.is_set():
            raise StepFailure(
                f"The evaluation was stopped after {done} of {total} completions.",
                "Run the experiment again to evaluate from the start.",
            )
        bench.tell(Progress(phase="generate", done=done, total=total))

    tell(0)
    limits = Limits(protocol.temperature, protocol.top_p, protocol.max_tokens)
    return generator.generate([each.request for each in asked], limits, tell)


def judged(asked: Sequence[Asked], completions: Sequence[Sequence[Completion]]) -> Iterator[JudgedCompletion]:
    """A truncated completion is wrong whatever it says: the model did not choose to end there."""
    rows = [
        (each, sample, completion)
        for each, group in zip(asked, completions, strict=True)
        for sample, completion in enumerate(group)
    ]
    with Graders() as graders:
        ended = [(one.text, each.problem.answer) for each, _, one in rows if not one.truncated]
        judgements = iter(graders.grade_all(ended))
    for each, sample, one in rows:
        verdict, extracted = Judgement(Verdict.WRONG, None) if one.truncated else next(judgements)
        yield JudgedCompletion(
            each.suite, each.problem.id, sample, one.text, one.tokens, one.truncated, verdict, extracted
        )


def _measured(folder: Path, protocol: Protocol) -> dict[str, Measures]:
    """What the written completions say, which is also written."""
    suites = {suite: measure(rows, protocol) for suite, rows in read_completions(folder / FILE).items()}
    plain = {suite: measures.model_dump(mode="json") for suite, measures in suites.items()}
    (folder / MEASURES).write_text(json.dumps(plain, indent=2), encoding="utf-8")
    return suites
