"""`effreason judge ADDRESS`: a language model counts behaviours in stored completions, and how the lexicon agrees.

effreason judge evaluate/90bc --judge http://127.0.0.1:8000/v1 --model Qwen/Qwen2.5-7B-Instruct
effreason judge evaluate/90bc --judge https://host/v1 --model NAME --sample 50 --budget 300 --json

A key, where the server wants one, is taken from EFFREASON_JUDGE_KEY. Replies are kept in --cache, so that the same
command goes on where a budget ended.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from effreason.commands.stores import existing_store, sealed, store_arguments, whole_address
from effreason.commands.typed import positive

if TYPE_CHECKING:
    from effreason.artifacts import Manifest
    from effreason.behaviour.agreement import Agreement
    from effreason.behaviour.endpoint import Endpoint
    from effreason.behaviour.judge import Judge, Piece, Verdicts
    from effreason.behaviour.kinds import Kind
    from effreason.store import Store

SEED = 0
"""Of the sample, so that the same command draws the same completions."""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "judge",
        parents=[store_arguments()],
        help="let a language model count behaviours, and compare it with the lexicon",
        description="Ask an OpenAI-compatible server about stored completions, and report Cohen's kappa.",
    )
    parser.add_argument("address", help="address of an evaluation; may be shortened")
    parser.add_argument(
        "--judge",
        required=True,
        metavar="URL",
        help="URL of an OpenAI-compatible server, e.g. http://127.0.0.1:8000/v1",
    )
    parser.add_argument("--model", required=True, metavar="NAME", help="model name on that server")
    parser.add_argument(
        "--sample", type=positive, default=100, metavar="N", help="completions to judge (default: %(default)s)"
    )
    parser.add_argument(
        "--budget",
        type=positive,
        default=500,
        metavar="CALLS",
        help="maximum number of requests (default: %(default)s)",
    )
    parser.add_argument("--tokens", type=positive, metavar="N", help="stop after this many tokens (default: no limit)")
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path("runs/judge"),
        help="folder in which replies are cached (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from effreason.behaviour.judge import Budget, Judge
    from effreason.store.shelf import disk_errors

    endpoint = _endpoint(options)
    store = existing_store(options)
    manifest = sealed(store, whole_address(store, options.address))
    pieces = _pieces(store, manifest, options.sample)
    with disk_errors(options.cache):
        options.cache.mkdir(parents=True, exist_ok=True)
    judge = Judge(endpoint, options.cache, Budget(options.budget, options.tokens))
    verdicts = judge.judge(pieces)
    agreements = _agreements(pieces, verdicts)
    if options.json:
        print(json.dumps(_plain(judge, pieces, verdicts, agreements), indent=2))
    else:
        print("\n".join(_page(judge, pieces, verdicts, agreements)))
    return 0


def _endpoint(options: argparse.Namespace) -> "Endpoint":
    from effreason.behaviour.endpoint import Endpoint
    from effreason.errors import UserError

    try:
        return Endpoint(options.judge, options.model)
    except ValueError as error:  # of an address that cannot be taken apart, such as http://[
        raise UserError(
            f"{options.judge} is not a valid URL ({error}).", "Write it like http://127.0.0.1:8000/v1."
        ) from error


def _pieces(store: "Store", manifest: "Manifest", wanted: int) -> "list[Piece]":
    """Completions of all suites, drawn evenly at random."""
    from random import Random
    from tempfile import TemporaryDirectory

    from effreason.behaviour.judge import Piece
    from effreason.errors import UserError
    from effreason.evaluation.completions import FILE, read_completions

    spec = manifest.spec
    if spec.step != "evaluate":
        raise UserError(f"{manifest.address} is not an evaluation.", "`effreason artifacts list` lists them.")
    with TemporaryDirectory() as scratch:
        suites = read_completions(store.fetch(manifest, Path(scratch) / "evaluation", [FILE]) / FILE)
        questions = _questions(store, spec.problems, list(suites), Path(scratch) / "problems")
    pieces = [
        Piece(str(problem), text, questions.get(str(problem)))
        for judged in suites.values()
        for problem, text in zip(judged.problem_ids, judged.texts, strict=True)
    ]
    return Random(SEED).sample(pieces, min(wanted, len(pieces)))


def _questions(store: "Store", address: str, suites: Sequence[str], folder: Path) -> dict[str, str]:
    """By problem id; none where the problems were deleted from the store."""
    from effreason.problems.files import part_file, read_part

    manifest = store.find(address)
    if manifest is None:
        return {}
    store.fetch(manifest, folder, [part_file(suite) for suite in suites])
    return {problem.id: problem.question for suite in suites for problem in read_part(folder, suite)}


def _agreements(pieces: "Sequence[Piece]", verdicts: "Verdicts") -> "dict[Kind, Agreement]":
    """Of the lexicon, first, and the judge, on presence; what was not judged is in none."""
    from effreason.behaviour.agreement import agreement
    from effreason.behaviour.classify import observe
    from effreason.behaviour.kinds import KINDS

    seen = [observe(piece.text, piece.question) for piece in pieces[: len(verdicts.counts)]]
    told = {}
    for kind in KINDS:
        both = [
            (own[kind] > 0, counted > 0, piece.problem_id)
            for own, counts, piece in zip(seen, verdicts.counts, pieces, strict=False)
            if (counted := counts[kind]) is not None
        ]
        told[kind] = agreement(*([pair[place] for pair in both] for place in range(3)))  # type: ignore[arg-type]
    return told


def _page(
    judge: "Judge", pieces: "Sequence[Piece]", verdicts: "Verdicts", agreements: "dict[Kind, Agreement]"
) -> Iterator[str]:
    yield "behaviour       judged  unjudged  lexicon  judge  both  kappa [95% over problems]"
    for kind, told in agreements.items():
        missing = len(verdicts.counts) - told.completions
        kappa = told.kappa
        value = f"{kappa.centre:.2f} [{kappa.low:.2f}, {kappa.high:.2f}]" if kappa else "too little data"
        yield f"{kind:14}{told.completions:8}{missing:10}{told.first:9}{told.second:7}{told.both:6}  {value}"
    kept = f"{judge.remembered} replies from {judge.cache}"
    yield f"{len(verdicts.counts)} of {len(pieces)} completions, {judge.asked} requests, {kept}."
    if not verdicts.complete:
        yield "The budget is used up. Run the same command again to continue; nothing already judged is paid for twice."


def _plain(
    judge: "Judge", pieces: "Sequence[Piece]", verdicts: "Verdicts", agreements: "dict[Kind, Agreement]"
) -> dict[str, object]:
    return {
        "model": judge.endpoint.model,
        "completions": len(verdicts.counts),
        "wanted": len(pieces),
        "complete": verdicts.complete,
        "requests": judge.asked,
        "remembered": judge.remembered,
        "behaviours": {
            kind: {
                "judged": told.completions,
                "unjudged": len(verdicts.counts) - told.completions,
                "lexicon": told.first,
                "judge": told.second,
                "both": told.both,
                "kappa": told.kappa and told.kappa._asdict(),
            }
            for kind, told in agreements.items()
        },
    }
