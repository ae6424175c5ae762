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
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from effreason.commands.crossing import go_where_vllm_is
from effreason.commands.models import Measured, named_model
from effreason.commands.stores import home_of, sealed, store_arguments, whole_address

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
        description="Measure a model, also one that was trained elsewhere, and keep the evaluation in a store.",
    )
    parser.add_argument("--model", required=True, help="reasoner, a folder, OWNER/NAME on the hub, or train/ADDRESS")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--suite", action="append", help="gsm8k, math500, chain-sum, reasoning-gym:TASK or a file")
    what.add_argument("--like", metavar="EVALUATION", help="the problems, prompt and protocol of another evaluation")
    parser.add_argument("--problems", type=int, metavar="N", help="at most so many of each suite (default: 300)")
    parser.add_argument("--samples", type=int, help="completions of each problem (default: 4)")
    parser.add_argument("--temperature", type=float, help="0 is greedy (default: 0.6)")
    parser.add_argument("--top-p", type=float, help="(default: 1)")
    parser.add_argument("--max-tokens", type=int, help="(default: 1024; 256 for the built-in reasoner)")
    parser.add_argument("--prompt", metavar="TEMPLATE", help="with {question} in it")
    parser.add_argument(
        "--engine", choices=("sampler", "vllm"), help="what draws the completions (default: sampler, our own)"
    )
    parser.add_argument("--seed", type=int, help="of the draw of problems and of sampling (default: 0)")
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
    print("\n".join(table(manifest.artifact)))
    print(f"\n{options.model} measured: {manifest.address} in {options.store}")
    return 0


def _asked(options: argparse.Namespace, store: "Store") -> "EvaluateSpec":
    """The spec of an evaluation on suites, whose problems are prepared if need be."""
    from effreason.choices import Prompt
    from effreason.errors import UserError
    from effreason.specs import PrepareSpec
    from effreason.steps import produce

    measured = named_model(options.model, store)
    if options.prompt is not None and "{question}" not in options.prompt:
        raise UserError("The prompt has no {question} in it.", "Put {question} where the question belongs.")
    prompt = measured.prompt if options.prompt is None else Prompt(template=options.prompt)
    experiment = _experiment(options, measured, prompt)
    preparation = PrepareSpec(
        source=experiment.data.suites[0].source,
        train_problems=0,
        validation_problems=0,
        suites=experiment.data.suites,
        seed=experiment.data.seed,
    )
    problems = produce(preparation, store, tell=_tell)
    return experiment.measurement(experiment.models[0], measured.policy, problems.address)


def _like(options: argparse.Namespace, store: "Store") -> "EvaluateSpec":
    """The spec of another evaluation, with this model in it."""
    from effreason.errors import UserError
    from effreason.experiment import Experiment
    from effreason.pinning import pin
    from effreason.specs import EvaluateSpec

    given = [name for name in (*SAMPLING, "problems", "prompt", "engine", "seed") if getattr(options, name) is not None]
    if given:
        name = given[0].replace("_", "-")
        raise UserError(f"--like and --{name} cannot go together.", "An evaluation like another differs in the model.")
    spec = sealed(store, whole_address(store, options.like)).spec
    if not isinstance(spec, EvaluateSpec):
        raise UserError(f"{options.like} is no evaluation.", "`effreason artifacts list` names them.")
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


def _tell(progress: "Progress") -> None:
    """One line that is written over, for a person who watches."""
    if sys.stderr.isatty():
        total = f" {progress.done} of {progress.total}" if progress.total else ""
        print(f"\r\033[K{progress.phase}{total}", end="", file=sys.stderr, flush=True)
