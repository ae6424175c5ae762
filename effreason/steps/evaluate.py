"""The evaluate step: ask every problem of every suite, judge the answers, sum them up."""

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from effreason.artifacts import Evaluation, Measures, Problems
from effreason.behaviour.counting import FILE as COUNTS
from effreason.behaviour.counting import write_counts
from effreason.evaluation.completions import FILE, read_completions, write_completions
from effreason.evaluation.measures import measure
from effreason.generation.engines import Opened, opened
from effreason.grading import Graders
from effreason.problems.files import VALIDATION
from effreason.progress import Progress
from effreason.records import Completion, JudgedCompletion, Judgement, Verdict
from effreason.specs import EvaluateSpec
from effreason.steps.asking import Asked, answers, questions
from effreason.steps.probing import probe
from effreason.thinking import Marks
from effreason.workbench import Workbench

MEASURES = "measures.json"


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
    with opened(spec.engine, spec.model, bench.runtime.device, policy, bench.scratch) as model:
        asked, completed = _answered(model, spec, bench)
        probed = probe(model, spec, asked, completed, bench)
    bench.tell(Progress(phase="write", done=0, total=0))
    write_completions(bench.output / FILE, completed)
    write_counts(bench.output / COUNTS, completed, {each.problem.id: each.problem.question for each in asked})
    return Evaluation(
        address=spec.address,
        suites=_measured(bench.output, spec),
        generated_tokens=sum(completion.tokens for completion in completed) + probed.generated_tokens,
        seconds=round(time.monotonic() - started, 3),
        faithfulness=probed.suites,
    )


def _answered(model: Opened, spec: EvaluateSpec, bench: Workbench) -> tuple[list[Asked], list[JudgedCompletion]]:
    """Return all questions, and every completion of them, judged."""
    manifest, folder = bench.read(spec.problems)
    assert isinstance(manifest.artifact, Problems)  # noqa: S101  what a prepare spec makes
    asked = list(questions(spec, parts(manifest.artifact), folder, model.tokenizer))
    completions = answers(model.generator, asked, bench)
    bench.tell(Progress(phase="grade", done=0, total=sum(map(len, completions))))
    return asked, list(judged(asked, completions, Marks(model.tokenizer)))


def parts(problems: Problems) -> list[str]:
    """Return the validation part, where there is one, and every suite."""
    return [*([VALIDATION] if problems.validation else []), *problems.suites]


def judged(
    asked: Sequence[Asked], completions: Sequence[Sequence[Completion]], marks: Marks
) -> Iterator[JudgedCompletion]:
    """Yield judged completions; a truncated one is wrong whatever it says: the model did not choose to end there."""
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
            suite=each.suite,
            problem_id=each.problem.id,
            sample=sample,
            text=one.text,
            tokens=one.tokens,
            truncated=one.truncated,
            verdict=verdict,
            extracted=extracted,
            tokens_thinking=marks.thinking_tokens(each.request.prompt_ids, one),
        )


def _measured(folder: Path, spec: EvaluateSpec) -> dict[str, Measures]:
    """Return the measures of the written completions by suite, and write them."""
    suites = {
        suite: measure(rows, spec.asking(suite).protocol) for suite, rows in read_completions(folder / FILE).items()
    }
    plain = {suite: measures.model_dump(mode="json") for suite, measures in suites.items()}
    (folder / MEASURES).write_text(json.dumps(plain, indent=2), encoding="utf-8")
    return suites
