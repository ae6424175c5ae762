"""The command line: `effreason plan | step | gpus | artifacts | browse | evaluate | compare | champion | rollback |
export | ask | chat | judge | schema`.

Every subcommand has a file in `effreason.commands` with `add_parser`; what is heavy is imported when it runs, so that
`effreason --help` answers at once. Errors are one clear sentence with the remedy: exit code 2 where the user can mend
it, 1 where something failed; `--debug` adds the traceback.
"""

import argparse
import sys
from collections.abc import Sequence

from effreason import __version__
from effreason.commands import (
    artifacts,
    ask,
    browse,
    champion,
    compare,
    evaluate,
    export,
    gpus,
    judge,
    plan,
    rollback,
    schema,
    step,
)
from effreason.errors import EffreasonError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except EffreasonError as error:
        if options.debug:
            raise
        print(f"effreason: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("effreason: stopped.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="effreason",
        description="How many of a reasoning model's tokens are worth paying for?",
        epilog="A whole sweep runs with `make sweep EXPERIMENT=path.toml` or `python -m flows.full_sweep path.toml`.",
    )
    parser.add_argument("--version", action="version", version=f"effreason {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (
        plan, step, gpus, artifacts, browse, evaluate, compare, champion, rollback, export, ask, judge, schema,
    ):  # fmt: skip
        command.add_parser(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
