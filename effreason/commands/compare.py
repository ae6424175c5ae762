"""`effreason compare A B`: the report of a sweep, for any two evaluations of the same problems.

effreason compare evaluate/90bc evaluate/3f2a           by the beginnings of their addresses
effreason compare reasoner "reasoner alpha=0.3 s0"      by what `effreason artifacts list` calls what they are of
effreason compare reasoner train/3f2a                   a policy stands for its evaluation
"""

import argparse
import filecmp
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from effreason.commands.comparable import in_other_words, refuse_different
from effreason.commands.stores import abbreviates, existing_store, label, sealed, store_arguments, subject_of
from effreason.commands.typed import entries_of

if TYPE_CHECKING:
    from effreason.artifacts import Interval, Manifest
    from effreason.specs import Address, Cell, EvaluateSpec
    from effreason.store import Store

PAGE = "report.html"


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "compare",
        parents=[store_arguments()],
        help="make the report for any two evaluations of the same problems",
        description="Make the report for two evaluations of the same problems, and print what changed from A to B.",
    )
    parser.add_argument("a", metavar="A", help="an evaluation's address, or a model or policy that was measured")
    parser.add_argument("b", metavar="B", help="likewise")
    parser.add_argument("--output", type=Path, help="an empty folder for the report (default: runs/compare/ADDRESS)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from effreason.specs import ReportSpec, Selection
    from effreason.steps import produce

    store = existing_store(options)
    manifests = _manifests(store)
    before, after = (_evaluation(given, manifests, store) for given in (options.a, options.b))
    refuse_different(before, after, manifests)
    spec = ReportSpec(
        experiment="compare",
        problems=before.problems,
        cells=(_cell(before, after, manifests),),
        selection=Selection(),
    )
    with TemporaryDirectory(prefix="effreason-compare-") as scratch:
        report = produce(spec, store)
        fetched = store.fetch(report, Path(scratch, "report"))
        page = _laid_out(store, report, fetched / PAGE, options.output)
        print("\n".join(_changes(fetched)))
    if note := in_other_words(before, after):
        print(note)
    print(f"Report: {page} ({spec.address})")
    return 0


def _manifests(store: "Store") -> "dict[Address, Manifest]":
    """All but those of reports, and those that are damaged, which are for `effreason artifacts` to tell."""
    from effreason.store.shelf import Damaged

    found = {}
    for address in store.addresses():
        if not address.startswith("report/"):
            with suppress(Damaged):
                found[address] = sealed(store, address)
    return found


def _evaluation(given: str, manifests: "Mapping[Address, Manifest]", store: "Store") -> "EvaluateSpec":
    """The one evaluation that `given` names, by address, by policy, or by what it is of."""
    from effreason.errors import UserError

    specs = {address: manifest.spec for address, manifest in manifests.items() if manifest.spec.step == "evaluate"}
    found = [
        address
        for address, spec in specs.items()
        if given
        and (
            abbreviates(given, address)
            or (spec.policy and abbreviates(given, spec.policy))
            or given in _names(spec, manifests)
        )
    ]
    if not found:
        _refuse_damaged(given, store)
        known = sorted({_names(spec, manifests)[0] for spec in specs.values()})
        raise UserError(
            f"The store has no evaluation {given!r}.",
            f"{_nearest(given, known)}`effreason artifacts list` lists them; `effreason evaluate` makes one.",
        )
    if len(found) > 1:
        raise UserError(
            f"{given!r} is ambiguous: it could be any of {', '.join(sorted(found))}.",
            "Give the address of the one you mean.",
        )
    return specs[found[0]]


def _refuse_damaged(given: str, store: "Store") -> None:
    """Let the store tell what is wrong with the artifact that `given` names, if it is there."""
    for address in store.addresses():
        if given and abbreviates(given, address):
            sealed(store, address)


def _names(spec: "EvaluateSpec", manifests: "Mapping[Address, Manifest]") -> list[str]:
    """What an evaluation is called: by what it is of, and as the list of artifacts does."""
    return [subject_of(spec, manifests), label(spec, manifests)]


def _nearest(given: str, known: list[str]) -> str:
    import difflib

    close = difflib.get_close_matches(given, known, n=1)
    return f"Did you mean {close[0]!r}? " if close else ""


def _cell(before: "EvaluateSpec", after: "EvaluateSpec", manifests: "Mapping[Address, Manifest]") -> "Cell":
    """A row of a sweep where B is A's model after a training of ours; else the pair under its own names."""
    from effreason.specs import Cell, TrainSpec

    policy = manifests.get(after.policy) if after.policy else None
    trained = policy.spec if policy and isinstance(policy.spec, TrainSpec) else None
    plain = not before.policy and not before.instruction
    sweep = trained and plain and before.model.fingerprint == trained.model.fingerprint
    one, other = (_names(spec, manifests)[0] for spec in (before, after))
    if one == other:
        one, other = f"{one} ({before.address})", f"{other} ({after.address})"
    return Cell(
        model=after.model.name,
        alpha=trained.alpha if trained else 0.0,
        seed=trained.seed if trained else 0,
        algorithm=trained.training.algorithm.kind if trained else "none",
        penalty=trained.training.penalty.kind if trained else "none",
        policy=after.policy if sweep else None,
        baseline=before.address,
        after=after.address,
        names=None if sweep else (one, other),
    )


def _laid_out(store: "Store", report: "Manifest", fetched: Path, wanted: Path | None) -> Path:
    """The page in a folder of this machine, with the report's other files.

    Raises `UserError` where anything but this report lies in the folder that was asked for.
    """
    from effreason.errors import UserError

    folder = Path("runs", "compare", report.address.partition("/")[2]) if wanted is None else wanted
    page = folder / PAGE
    if entries_of(folder) and page.is_file() and filecmp.cmp(page, fetched, shallow=False):
        return page.resolve()
    if wanted is not None and entries_of(folder):
        raise UserError(f"{folder} is not empty and does not hold this report.", "Choose another folder.")
    store.fetch(report, folder)
    return page.resolve()


def _changes(folder: Path) -> list[str]:
    """One line a suite, from the report's own figures."""
    from effreason.figures import percent, points

    told = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return [
        f"{cell['suite']}: accuracy change in points {points(_limits(cell['change']['accuracy']))}, "
        f"token reduction {percent(_limits(cell['change']['token_reduction']))}"
        for cell in told["cells"]
    ]


def _limits(told: dict[str, float] | None) -> "Interval | None":
    from effreason.artifacts import Interval

    return Interval(**told) if told else None
