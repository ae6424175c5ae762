"""`effreason browse`: the reports and other artifacts of a store in a web browser, from this machine alone."""

import argparse
import signal
from types import FrameType
from typing import NoReturn

from effreason.commands.stores import existing_store, store_arguments


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "browse",
        parents=[store_arguments()],
        help="open a store in a web browser",
        description="Serve the sealed artifacts of a store to web browsers of this machine, read only.",
    )
    parser.add_argument("--port", type=int, default=4280, help="(default: %(default)s)")
    parser.add_argument(
        "--bind", default="127.0.0.1", metavar="ADDRESS", help="in a container 0.0.0.0 (default: %(default)s)"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from effreason.browsing import ArtifactServer
    from effreason.errors import UserError

    store = existing_store(options)
    try:
        server = ArtifactServer(store, options.bind, options.port)
    except OSError as error:
        raise UserError(
            f"{options.bind}:{options.port} cannot be listened at ({error.strerror}).", "Choose another --port."
        ) from error
    signal.signal(signal.SIGTERM, _end)
    with server:
        print(f"http://127.0.0.1:{server.server_port}   ({options.store}; Ctrl-C ends it)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return 0
    return 0


def _end(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
