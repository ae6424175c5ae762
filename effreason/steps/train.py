"""Train one cell: a model, an alpha, a seed."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass

import torch
from accelerate import PartialState
from peft import PeftModel
from transformers import PreTrainedModel
from transformers.integrations import get_available_reporting_integrations

from effreason.artifacts import Policy
from effreason.budgets import budget_of
from effreason.choices import FullWeights, OwnSampler, Qlora, SftShortest
from effreason.errors import UserError
from effreason.generation import Generator, Limits, OnCompletion, Request
from effreason.generation.engines import holding
from effreason.generation.sampler import Sampler
from effreason.grading import Graders
from effreason.models import Precision, load, stored
from effreason.problems.files import TRAIN, part_file, read_part
from effreason.progress import Progress
from effreason.prompts import render
from effreason.records import Completion, Problem
from effreason.specs import Training, TrainSpec
from effreason.training.following import Following
from effreason.training.rollouts import Collector, Question
from effreason.training.run import fine_tune
from effreason.training.setting import frozen_copy
from effreason.training.weights import save, trainable
from effreason.training.world import world
from effreason.workbench import Workbench


def make(spec: TrainSpec, bench: Workbench) -> Policy:
    """Write model/ (safetensors, with its tokenizer), metrics.jsonl and completions.parquet.

    Under `accelerate launch` several processes train together; each calls this with a workbench of its own.

    Raises:
        UserError: there is no problem to train on, or a tracker of `runtime.report_to` is not installed.
        StepFailure: the training diverged, had nothing to learn from, or was asked to stop; it can be continued.
    """
    bench.tell(Progress(phase="load", done=0, total=0))
    _refuse_missing_trackers(bench.runtime.report_to)
    problems = _problems(spec, bench)
    if bench.runtime.threads is not None:
        torch.set_num_threads(bench.runtime.threads)
    PartialState(cpu=bench.runtime.device == "cpu")  # joins the processes that accelerate has launched
    loaded = load(spec.model, bench.runtime.device, _precision(spec.training), quantised=_quantised(spec))
    tokenizer = loaded.tokenizer
    questions = [
        Question(problem, render(spec.prompt, problem.question, tokenizer), budget_of(spec.prompt, problem.question))
        for problem in problems
    ]
    before = frozen_copy(loaded.model) if _needs_a_copy(spec.training) else None
    model = trainable(loaded.model, spec.training.weights, spec.seed)
    sampler = Sampler(before or model, tokenizer, loaded.eos_ids, scored=_follows(spec.training))
    with Graders() as graders, _generating(spec, bench, model, sampler) as generator:
        collector = Collector(questions, generator, graders.grade_all, spec.training, spec.seed, world())
        ledger = fine_tune(model, tokenizer, spec, collector, bench)
    bench.tell(Progress(phase="write", done=0, total=0))
    save(model, tokenizer, spec, bench.output / "model")
    ledger.finish(bench.output)
    return Policy(
        address=spec.address,
        model=spec.model.name,
        alpha=spec.alpha,
        seed=spec.seed,
        steps=spec.training.steps,
        generated_tokens=ledger.generated_tokens,
        seconds=ledger.seconds,
    )


@contextmanager
def _generating(
    spec: TrainSpec, bench: Workbench, model: PreTrainedModel | PeftModel, sampler: Sampler
) -> Iterator[Generator]:
    """Open what draws the completions: our own sampler, or the generation engine that the training settings name.

    Supervised learning draws from the starting model, all else from the policy in its present state.
    """
    engine, follows = spec.engine, _follows(spec.training)
    if isinstance(engine, OwnSampler):
        yield sampler if follows else _Untrained(model, sampler)
        return
    if world().size > 1:
        raise UserError(
            f"The generation engine {engine.kind} supports one training process, but there are {world().size}.",
            "Set runtime.processes = 1, or drop training.engine.",
        )
    found = stored(spec.model, bench.scratch / "stored")
    with closing(holding(engine, found, scored=follows)) as generator:
        yield Following(model, generator) if follows else generator


def _follows(training: Training) -> bool:
    """Return whether completions come from the policy in its present state."""
    return not isinstance(training.algorithm, SftShortest)


@dataclass(frozen=True)
class _Untrained:
    """Samples from the model as it was before training, whatever has been learned since."""

    model: torch.nn.Module
    sampler: Sampler
    """The sampler of a copy, or of the model itself where only adapters are trained."""

    def generate(
        self, requests: Sequence[Request], limits: Limits, on_completion: OnCompletion | None = None
    ) -> list[list[Completion]]:
        with self._adapters_off():
            return self.sampler.generate(requests, limits, on_completion)

    def _adapters_off(self) -> AbstractContextManager[None]:
        return self.model.disable_adapter() if isinstance(self.model, PeftModel) else nullcontext()


def _refuse_missing_trackers(wanted: Sequence[str]) -> None:
    there = get_available_reporting_integrations()
    if missing := [name for name in wanted if name not in there]:
        raise UserError(
            f"runtime.report_to names {' and '.join(missing)}, which transformers does not find "
            f"(it finds {', '.join(there) or 'none'}).",
            "Install the tracker's package, or leave it out.",
        )


def _problems(spec: TrainSpec, bench: Workbench) -> list[Problem]:
    _, folder = bench.read(spec.problems, [part_file(TRAIN)])
    problems = read_part(folder, TRAIN)
    if not problems:
        raise UserError(
            "No training problems are left after preparation.", "See dropped.jsonl for the reasons, and add problems."
        )
    return problems


def _needs_a_copy(training: Training) -> bool:
    ours = isinstance(training.engine, OwnSampler)
    return ours and not _follows(training) and isinstance(training.weights, FullWeights)


def _quantised(spec: TrainSpec) -> bool:
    return isinstance(spec.training.weights, Qlora)


def _precision(training: Training) -> Precision:
    """Return the precision of stored weights: an update of 1e-6 would vanish in bfloat16 ones, not in adapters."""
    return "float32" if isinstance(training.weights, FullWeights) else training.precision
