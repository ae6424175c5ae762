"""Cells of the studies: the built-in reasoner trained in one way, and measured on problems that it was not trained on.

Each finished cell is a line of JSON, so that a study that was interrupted goes on where it stopped.
"""

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from effreason.artifacts import Interval
from effreason.benchmarks.ours import NO_PROBLEMS
from effreason.benchmarks.work import Work
from effreason.choices import BuiltInModel, Prompt
from effreason.evaluation.intervals import difference, reduction
from effreason.frozen import Frozen
from effreason.generation import Limits, Request
from effreason.generation.sampler import open_sampler
from effreason.grading import Graders
from effreason.models import Loaded, load
from effreason.prompts import render
from effreason.records import Verdict
from effreason.specs import Training, TrainSpec
from effreason.store.folder import FolderStore
from effreason.training.rollouts import Collector, Question
from effreason.training.run import fine_tune
from effreason.workbench import Runtime, Workbench

WORK = Work()
HELD_OUT = 300
SAMPLES = 4


class Way(Frozen):
    """How a cell is trained. Made by the studies."""

    name: str
    """Of the row in the study's table."""
    training: Training
    alpha: float
    seed: int
    budget: int | None = None
    """That every prompt stands for, where the penalty goes by one; the model is not told."""


class Finished(Frozen):
    """A cell with what was measured: for each held-out problem its samples. Made by `finish`; read by the tables."""

    way: Way | None
    """None is the base model."""
    tokens: tuple[tuple[int, ...], ...]
    right: tuple[tuple[bool, ...], ...]
    alphas: tuple[float, ...] = ()
    """Of every step."""


class Against(Frozen):
    """Cells of several seeds against others on the same problems."""

    token_reduction: Interval | None
    accuracy: Interval | None
    """After less before, as a fraction."""


def finish(ways: Iterable[Way], path: Path) -> list[Finished]:
    """Every cell, trained unless the file at `path` holds it; the untrained model comes first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    done = [Finished.model_validate_json(line) for line in path.read_text().splitlines()] if path.exists() else []
    for way in [None, *ways]:
        if all(cell.way != way for cell in done):
            done.append(_cell(way))
            with path.open("a") as file:
                file.write(done[-1].model_dump_json() + "\n")
    return done


def against(before: Sequence[Finished], after: Sequence[Finished]) -> Against:
    """The samples of a problem from all seeds count as one model's; the intervals speak of other problems."""
    return Against(
        token_reduction=reduction(_pooled(before, "tokens"), _pooled(after, "tokens")),
        accuracy=difference(_pooled(before, "right"), _pooled(after, "right")),
    )


def _pooled(cells: Sequence[Finished], column: str) -> list[list[float]]:
    columns = [getattr(cell, column) for cell in cells]
    return [[float(one) for cell in problem for one in cell] for problem in zip(*columns, strict=True)]


def _cell(way: Way | None) -> Finished:
    loaded = load(BuiltInModel(), "cpu")
    alphas: list[float] = []
    with Graders() as graders:
        if way is not None:
            alphas = _train(way, loaded, graders)
        return _measured(way, loaded, graders, tuple(alphas))


def _train(way: Way, loaded: Loaded, graders: Graders) -> list[float]:
    questions = [
        Question(problem, render(Prompt(), problem.question, loaded.tokenizer), way.budget)
        for problem in WORK.to_train_on()
    ]
    spec = TrainSpec(
        model=BuiltInModel(),
        problems=NO_PROBLEMS,
        prompt=Prompt(),
        training=way.training,
        alpha=way.alpha,
        seed=way.seed,
    )
    collector = Collector(questions, open_sampler(loaded), graders.grade_all, way.training, way.seed)
    with tempfile.TemporaryDirectory() as scratch:
        bench = Workbench(FolderStore(Path(scratch) / "store"), Path(scratch), Runtime(device="cpu"))
        ledger = fine_tune(loaded.model, loaded.tokenizer, spec, collector, bench)
    return [line["alpha"] or 0.0 for line in ledger.lines]


def _measured(way: Way | None, loaded: Loaded, graders: Graders, alphas: tuple[float, ...]) -> Finished:
    problems = WORK.held_out(HELD_OUT)
    requests = [
        Request(render(Prompt(), problem.question, loaded.tokenizer), SAMPLES, seed)
        for seed, problem in enumerate(problems)
    ]
    groups = open_sampler(loaded).generate(requests, Limits(WORK.temperature, 1.0, WORK.max_tokens))
    judged = iter(
        graders.grade_all(
            [(one.text, problem.answer) for group, problem in zip(groups, problems, strict=True) for one in group]
        )
    )
    right = tuple(
        tuple(next(judged).verdict is Verdict.RIGHT and not one.truncated for one in group) for group in groups
    )
    return Finished(
        way=way, tokens=tuple(tuple(one.tokens for one in group) for group in groups), right=right, alphas=alphas
    )
