"""The command line: `effreason plan | step | gpus | artifacts | browse | evaluate | compare | champion | rollback |
export | ask | chat | judge | schema`.

Every subcommand has a file in `effreason.commands` with `add_parser`; what is heavy is imported when it runs, so that
`effreason --help` answers at once. Errors are one clear sentence with the remedy: exit code 2 where the user can fix
it, 1 where something failed; `--debug` adds the traceback. Who has read enough may leave: `effreason schema | head`.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper

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

STANDARD_OUTPUT = 1
READER_LEFT = 141
"""The exit code of a program whose output nobody reads any more, as a shell gives it: 128 + SIGPIPE."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without × shall not end an evaluation
    try:
        try:
            return _run(arguments)
        finally:
            _flush()
    except OSError as error:
        return _unheard(error)


def _run(arguments: Sequence[str] | None) -> int:
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


def _flush() -> None:
    if sys.stdout is not None:  # closed by the caller
        sys.stdout.flush()


def _unheard(error: OSError) -> int:
    """Return the exit code where standard output takes no more, and say so in one line; any other error is raised
    again."""
    if sys.stdout is None:
        raise error
    try:
        os.write(STANDARD_OUTPUT, b"\n")  # a probe: libraries do not keep what failed to be written
    except BrokenPipeError:
        code = READER_LEFT
    except OSError as refused:
        print(
            f"effreason: Cannot write to standard output ({refused.strerror}). Redirect it elsewhere.", file=sys.stderr
        )
        code = 1
    else:
        raise error
    os.dup2(os.open(os.devnull, os.O_WRONLY), STANDARD_OUTPUT)  # the interpreter's end flushes what is left
    return code


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
