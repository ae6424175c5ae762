"""`effreason rollback NAME`: an earlier champion in the place of the present one; an entry of the history as well."""

import argparse
import getpass
import socket
from typing import TYPE_CHECKING

from effreason.commands.stores import abbreviates, existing_store, store_arguments

if TYPE_CHECKING:
    from effreason.promotion.champion import Champion


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "rollback",
        parents=[store_arguments()],
        help="reinstate an earlier champion of nightly runs",
        description="Reinstate the previous champion, or the one that you name.",
    )
    parser.add_argument("name", metavar="NAME", help="the experiment")
    parser.add_argument(
        "--to",
        metavar="ENTRY",
        help="an entry number from `effreason champion NAME`, 0 for the base model, or a policy's address",
    )
    parser.add_argument(
        "--why", default="rolled back by hand", help="reason kept in the history (default: %(default)s)"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from effreason.promotion.champion import Champion, Maker

    champion = Champion(existing_store(options), options.name)
    to = _number(champion, options.to) if options.to is not None else None
    entry = champion.roll_back(Maker(f"{getpass.getuser()}@{socket.gethostname()}", options.why), to)
    print(f"The champion of {entry.line} is {entry.policy or 'the base model'} (entry {entry.number}).")
    return 0


def _number(champion: "Champion", given: str) -> int:
    """The entry that `given` names by its number or by the address of its policy, of several the first."""
    from effreason.errors import UserError

    if given.isdecimal() and len(given) <= 6:
        return int(given)
    for entry in champion.history():
        if entry.policy is not None and abbreviates(given, entry.policy):
            return entry.number
    raise UserError(f"{given!r} was never champion of {champion.line}.", "`effreason champion` lists every champion.")
