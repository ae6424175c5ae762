"""`effreason evaluate --model MODEL --suite SUITE`: measure any model, as the pipeline does, and keep the evaluation.

effreason evaluate --model HuggingFaceTB/SmolLM2-135M-Instruct --suite gsm8k --suite math500
effreason evaluate --model ./my-shorter-model --suite gsm8k --problems 100
effreason evaluate --model train/3f2a --suite reasoning-gym:chain_sum        a policy from the store
effreason evaluate --model ./my-shorter-model --suite gsm8k --engine vllm    completions drawn by vLLM
effreason evaluate --model ./my-shorter-model --like evaluate/90bc           on the problems of another evaluation

Two evaluations of the same problems are compared by `effreason compare`.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from effreason.commands.crossing import go_where_vllm_is
from effreason.commands.models import Measured, named_model
from effreason.commands.stores import home_of, sealed, store_arguments, whole_address
from effreason.commands.typed import refuse_broken_text

if TYPE_CHECKING:
    from effreason.choices import Prompt
    from effreason.experiment import Experiment
    from effreason.progress import Progress
    from effreason.specs import EvaluateSpec
    from effreason.store import Store

BUILT_IN_TOKENS = 256
"""The token limit for the built-in reasoner, whose positions end at 512."""
SAMPLING = ("samples", "temperature", "top_p", "max_tokens")


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "evaluate",
        parents=[store_arguments()],
        help="measure any model on test suites, and keep the evaluation in a store",
        description="Measure any model, including one trained elsewhere, and keep the evaluation in a store.",
    )
    parser.add_argument("--model", required=True, help="reasoner, a folder, OWNER/NAME on the hub, or train/ADDRESS")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--suite", action="append", help="gsm8k, math500, chain-sum, reasoning-gym:TASK or a file; may be repeated"
    )
    what.add_argument(
        "--like", metavar="EVALUATION", help="use the problems, prompt and protocol of another evaluation"
    )
    parser.add_argument("--problems", type=int, metavar="N", help="maximum number of problems per suite (default: 300)")
    parser.add_argument("--samples", type=int, help="completions per problem (default: 4)")
    parser.add_argument("--temperature", type=float, help="sampling temperature; 0 is greedy (default: 0.6)")
    parser.add_argument("--top-p", type=float, help="nucleus sampling probability (default: 1)")
    parser.add_argument(
        "--max-tokens", type=int, help="tokens per completion (default: 1024; 256 for the built-in reasoner)"
    )
    parser.add_argument("--prompt", metavar="TEMPLATE", help="prompt template; must contain {question}")
    parser.add_argument(
        "--engine", choices=("sampler", "vllm"), help="generation engine (default: sampler, the built-in one)"
    )
    parser.add_argument("--seed", type=int, help="seed for drawing problems and sampling (default: 0)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from effreason.artifacts import Evaluation
    from effreason.commands.measured import table
    from effreason.steps import produce
    from effreason.store import open_store

    store = open_store(home_of(options))
    spec = _asked(options, store) if options.like is None else _like(options, store)
    go_where_vllm_is(spec.engine, sys.argv[1:])
    manifest = produce(spec, store, tell=_tell)
    assert isinstance(manifest.artifact, Evaluation)  # noqa: S101  what an evaluate spec makes
    print("\n".join([*table(manifest.artifact), *_left_out(spec, store)]))
    print(f"\n{options.model} measured: {manifest.address} in {options.store}")
    return 0


def _asked(options: argparse.Namespace, store: "Store") -> "EvaluateSpec":
    """The spec of an evaluation on suites, whose problems are prepared if need be."""
    from effreason.specs import PrepareSpec
    from effreason.steps import produce

    measured = named_model(options.model, store)
    prompt = measured.prompt if options.prompt is None else _prompt(options.prompt)
    experiment = _experiment(options, measured, prompt)
    preparation = PrepareSpec(
        source=experiment.data.suites[0].source,
        train_problems=0,
        validation_problems=0,
        suites=experiment.data.suites,
        seed=experiment.data.seed,
    )
    problems = produce(preparation, store, tell=_tell)
    return experiment.evaluate_spec(experiment.models[0], measured.policy, problems.address)


def _prompt(template: str) -> "Prompt":
    from effreason.choices import Prompt
    from effreason.errors import UserError

    refuse_broken_text(template, "The prompt")
    if "{question}" not in template:
        raise UserError("The prompt does not contain {question}.", "Put {question} where the question belongs.")
    if "{budget}" in template:
        raise UserError("The prompt contains {budget}, which only an experiment file can set.", "Leave {budget} out.")
    return Prompt(template=template)


def _like(options: argparse.Namespace, store: "Store") -> "EvaluateSpec":
    """The spec of another evaluation, with this model in it."""
    from effreason.errors import UserError
    from effreason.experiment import Experiment
    from effreason.pinning import pin
    from effreason.specs import EvaluateSpec

    given = [name for name in (*SAMPLING, "problems", "prompt", "engine", "seed") if getattr(options, name) is not None]
    if given:
        name = given[0].replace("_", "-")
        raise UserError(
            f"--like and --{name} cannot go together.",
            "Leave one out: --like takes everything but the model from the other evaluation.",
        )
    spec = sealed(store, whole_address(store, options.like)).spec
    if not isinstance(spec, EvaluateSpec):
        raise UserError(f"{options.like} is not an evaluation.", "`effreason artifacts list` lists them.")
    measured = named_model(options.model, store)
    pinned = pin(Experiment(name="evaluate", models=(measured.model,), alphas=(0.0,)), Path())
    return spec.model_copy(update={"model": pinned.models[0], "policy": measured.policy})


def _experiment(options: argparse.Namespace, measured: Measured, prompt: "Prompt") -> "Experiment":
    """The model and the suites tied to exact inputs, as a sweep's are. Raises `UserError` for what cannot be asked."""
    from pydantic import ValidationError

    from effreason.errors import UserError
    from effreason.experiment import Experiment
    from effreason.pinning import pin

    seed = options.seed or 0
    sampling = {name: getattr(options, name) for name in SAMPLING if getattr(options, name) is not None}
    if measured.model.source == "builtin":
        sampling = {"max_tokens": BUILT_IN_TOKENS, **sampling}
    try:
        experiment = Experiment.model_validate(
            {
                "name": "evaluate",
                "models": [measured.model],
                "alphas": [0.0],
                "data": {"suites": _suites(options), "prompt": prompt, "seed": seed},
                "evaluation": {**sampling, "engine": {"kind": options.engine or "sampler"}, "seed": seed},
            }
        )
    except ValidationError as error:
        raise UserError(_sentence(error), "See `effreason evaluate --help`.") from error
    return pin(experiment, Path())


def _suites(options: argparse.Namespace) -> list[Mapping[str, object]]:
    from effreason.errors import UserError
    from effreason.suites import fields_of

    size = {} if options.problems is None else {"problems": options.problems}
    try:
        return [{**fields_of(text), **size} for text in options.suite]
    except ValueError as error:
        happened, _, remedy = str(error).partition("; ")
        raise UserError(f"{happened}.", remedy[0].upper() + remedy[1:]) from error


def _sentence(error: Any) -> str:
    mistake = error.errors()[0]
    if "error" in mistake.get("ctx", {}):
        return str(mistake["ctx"]["error"])
    return f"{mistake['loc'][-1]} = {mistake['input']!r} cannot be used: {mistake['msg']}."


def _left_out(spec: "EvaluateSpec", store: "Store") -> Iterator[str]:
    """A line where rows of the suites could not be used."""
    problems = store.find(spec.problems)
    if problems is not None and problems.artifact.step == "prepare" and problems.artifact.dropped:
        told = "; ".join(f"{reason}: {number}" for reason, number in problems.artifact.dropped.items())
        yield f"rows left out: {told} (dropped.jsonl of {spec.problems} lists them)"


def _tell(progress: "Progress") -> None:
    """One line that is written over, for a person who watches."""
    if sys.stderr.isatty():
        total = f" {progress.done} of {progress.total}" if progress.total else ""
        print(f"\r\033[K{progress.phase}{total}", end="", file=sys.stderr, flush=True)
