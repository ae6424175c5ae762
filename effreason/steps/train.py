"""Train one cell: a model, an alpha, a seed."""

import torch

from effreason.artifacts import Policy
from effreason.choices import FullWeights
from effreason.errors import UserError
from effreason.generation.sampler import Sampler
from effreason.grading import Graders
from effreason.models import Precision, load
from effreason.problems.files import TRAIN, part_file, read_part
from effreason.progress import Progress
from effreason.prompts import render
from effreason.specs import Training, TrainSpec
from effreason.training.rollouts import Collector, Question
from effreason.training.run import fine_tune
from effreason.training.weights import save, trainable
from effreason.workbench import Workbench


def make(spec: TrainSpec, bench: Workbench) -> Policy:
    """Write model/ (safetensors, with its tokenizer), metrics.jsonl and completions.parquet.

    Raises:
        UserError: there is no problem to train on.
        StepFailure: the training diverged, had nothing to learn from, or was asked to stop; it can be continued.
    """
    bench.tell(Progress(phase="load", done=0, total=0))
    _, folder = bench.read(spec.problems, [part_file(TRAIN)])
    problems = read_part(folder, TRAIN)
    if not problems:
        raise UserError("No training problems are left after preparation.", "Look at dropped.jsonl, and add problems.")
    if bench.runtime.threads is not None:
        torch.set_num_threads(bench.runtime.threads)
    loaded = load(spec.model, bench.runtime.device, _precision(spec.training))
    tokenizer = loaded.tokenizer
    model = trainable(loaded.model, spec.training.weights, spec.seed)
    questions = [Question(problem, render(spec.prompt, problem.question, tokenizer)) for problem in problems]
    sampler = Sampler(model, tokenizer, loaded.eos_ids)
    with Graders() as graders:
        collector = Collector(questions, sampler, graders.grade_all, spec.training, spec.alpha, spec.seed)
        ledger = fine_tune(model, tokenizer, spec, collector, bench)
    bench.tell(Progress(phase="write", done=0, total=0))
    save(model, tokenizer, bench.output / "model")
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


def _precision(training: Training) -> Precision:
    """Of the weights as they are held: an update of 1e-6 would vanish in bfloat16 weights, but not in adapters."""
    return "float32" if isinstance(training.weights, FullWeights) else training.precision
