"""`effreason ask` and `effreason chat`: base and policy answer the same question side by side.

effreason ask tiny "1+2+3=?"
effreason ask train/3f9a train/77b0 "1+2+3=?" --greedy --json
effreason chat tiny:alpha=0.3                    every line is a question of its own

One answer of each is an illustration; what a model does is measured by `effreason evaluate`.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Iterator
from io import TextIOWrapper
from typing import TYPE_CHECKING

from effreason.commands.cells import named_policies
from effreason.commands.stores import existing_store, store_arguments
from effreason.commands.typed import refuse_broken_text

if TYPE_CHECKING:
    from effreason.shipping.asking import Answer, Panel

NOTE = "One answer of each is no measurement and has no interval; `effreason evaluate` and `compare` measure."
NARROWEST = 24
"""Characters of a column; where there is less room, answers stand one below the other."""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    asking = commands.add_parser(
        "ask", parents=[store_arguments(), _manner()], help="ask base and policy one question, side by side"
    )
    asking.add_argument("question")
    asking.set_defaults(run=run_ask)
    chatting = commands.add_parser(
        "chat", parents=[store_arguments(), _manner()], help="ask base and policy questions one after another"
    )
    chatting.set_defaults(run=run_chat)


def _manner() -> argparse.ArgumentParser:
    manner = argparse.ArgumentParser(add_help=False)
    manner.add_argument("policies", nargs="+", metavar="POLICY", help="an experiment, a cell of it, or train/ADDRESS")
    manner.add_argument("--greedy", action="store_true", help="always take the most likely token")
    manner.add_argument("--seed", type=int, default=0, help="seed for sampling (default: %(default)s)")
    manner.add_argument("--json", action="store_true", help="print one JSON object per question")
    return manner


def run_ask(options: argparse.Namespace) -> int:
    refuse_broken_text(options.question, "The question")
    _answer(_panel(options), options.question, options)
    return 0


def run_chat(options: argparse.Namespace) -> int:
    """Answer lines until an empty one or the end of the input; the exit code tells of any that could not be asked."""
    from effreason.errors import UserError

    _listen()
    panel = _panel(options)
    code = 0
    while question := _next_line():
        try:
            _answer(panel, question, options)
        except UserError as error:
            print(f"effreason: {error}", file=sys.stderr)
            code = error.exit_code
    return code


def _panel(options: argparse.Namespace) -> "Panel":
    from effreason.shipping.asking import Panel

    store = existing_store(options)
    policies = {one.address: one for text in options.policies for one in named_policies(text, store)}
    return Panel.seated(store, list(policies.values()))


def _listen() -> None:
    """Raise `UserError` where standard input is closed; bytes that are no UTF-8 spoil their line alone."""
    from effreason.errors import UserError

    if sys.stdin is None:
        raise UserError("Standard input is closed.", "Leave it open, or put the question to `effreason ask`.")
    if isinstance(sys.stdin, TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")


def _next_line() -> str:
    if sys.stdin.isatty():
        print("question (empty to quit): ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()


def _answer(panel: "Panel", question: str, options: argparse.Namespace) -> None:
    refuse_broken_text(question, "The question")
    answers = panel.answers(question, greedy=options.greedy, seed=options.seed)
    if options.json:
        plain = [answer._asdict() for answer in answers]
        print(json.dumps({"question": question, "answers": plain, "note": NOTE}, ensure_ascii=False), flush=True)
        return
    print("\n".join(side_by_side(answers, shutil.get_terminal_size((100, 24)).columns)), flush=True)
    print(f"\n{NOTE}")


def side_by_side(answers: "list[Answer]", width: int) -> Iterator[str]:
    """One column an answer, or where they would be too narrow, one below the other."""
    from itertools import zip_longest

    column = (width - 3 * (len(answers) - 1)) // len(answers)
    if column < NARROWEST:
        for answer in answers:
            yield from [*_lines(answer, width), ""]
        return
    for row in zip_longest(*(_lines(answer, column) for answer in answers), fillvalue=""):
        yield " | ".join(f"{cell:{column}}" for cell in row).rstrip()


def _lines(answer: "Answer", width: int) -> list[str]:
    import textwrap

    cut = ", cut off at the limit" if answer.truncated else ""
    head = [*textwrap.wrap(answer.name, width), *textwrap.wrap(f"{answer.tokens} tokens{cut}", width), "-" * width]
    return [*head, *(part for line in answer.text.splitlines() for part in textwrap.wrap(line, width) or [""])]
