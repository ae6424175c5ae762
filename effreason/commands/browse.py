"""`effreason browse`: the reports and other artifacts of a store in a web browser, from this machine alone."""

import argparse
import signal
from types import FrameType
from typing import NoReturn

from effreason.commands.stores import existing_store, store_arguments

LAST_PORT = 65_535


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "browse",
        parents=[store_arguments()],
        help="open a store in a web browser",
        description="Serve the sealed artifacts of a store to web browsers on this machine, read-only.",
    )
    parser.add_argument("--port", type=_port, default=4280, help="port to listen on (default: %(default)s)")
    parser.add_argument(
        "--bind",
        type=_address,
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address to listen on; use 0.0.0.0 in a container (default: %(default)s)",
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
            f"Cannot listen on {options.bind}:{options.port} ({error.strerror}).",
            "Choose another --port or --bind.",
        ) from error
    signal.signal(signal.SIGTERM, _end)
    with server:
        try:
            print(f"http://127.0.0.1:{server.server_port}   ({options.store}; press Ctrl-C to stop)", flush=True)
            server.serve_forever()
        except KeyboardInterrupt:
            return 0
    return 0


def _port(text: str) -> int:
    if not text.isdecimal() or len(text) > 5 or int(text) > LAST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port number from 0 to {LAST_PORT}")
    return int(text)


def _address(text: str) -> str:
    """Not the empty one, by which the system means all networks, and none that no host can have."""
    if not text:
        raise argparse.ArgumentTypeError("the address is empty")
    try:
        text.encode("idna")
    except UnicodeError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a valid address") from error
    return text


def _end(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
