"""`effreason champion [NAME]`: who is champion of an experiment, since when and why, with the history."""

import argparse
import difflib
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from effreason.commands.stores import existing_store, store_arguments

if TYPE_CHECKING:
    from effreason.promotion.champion import Champion, Entry

BASE = "the base model"


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "champion",
        parents=[store_arguments()],
        help="show the champion of nightly runs and its history",
        description="Show which policy is the champion of an experiment, since when and why; or all champions.",
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="the experiment (default: all of them)")
    parser.add_argument("--json", action="store_true", help="every entry of the history, one JSON object per line")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from effreason.errors import UserError
    from effreason.promotion.champion import Champion, lines

    store = existing_store(options)
    known = lines(store)
    if options.name is not None and options.name not in known:
        raise UserError(
            f"No nightly run has promoted a champion of {options.name!r} in {options.store}.",
            f"{_nearest(options.name, known)}Until one does, the champion is {BASE}.",
        )
    names = known if options.name is None else [options.name]
    if not names:
        print(f"No experiment in {options.store} has had a champion.")
    for name in names:
        champion = Champion(store, name)
        if options.json:
            for entry in champion.history():
                print(json.dumps(entry.model_dump(mode="json", exclude={"token"})))
        elif options.name:
            print("\n".join(_history(champion)))
        else:
            print(f"{name}: {_policy(champion.entry())}")
    return 0


def _nearest(given: str, known: list[str]) -> str:
    close = difflib.get_close_matches(given, known, n=1)
    return f"Did you mean {close[0]}? " if close else ""


def _history(champion: "Champion") -> Iterator[str]:
    entries = champion.history()
    yield f"The champion of {champion.line} is {_policy(entries[-1] if entries else None)}."
    for entry in reversed(entries):
        what = "promotion" if entry.restores is None else f"rollback to {entry.restores}"
        yield ""
        yield f"{entry.number:>3}  {entry.at[:16].replace('T', ' ')}  {what}  {_policy(entry)}"
        yield f"     by {entry.by}: {entry.why}"
        yield from (f"     {who} measured in {address}" for who, address in entry.evaluations.items())
    if entries:
        yield f"\n  0  {BASE}"


def _policy(entry: "Entry | None") -> str:
    return entry.policy or BASE if entry else BASE
