"""`effreason step STEP ORDER.json`: run one step here, telling its progress as JSON lines on standard output."""

import argparse
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from effreason.order import Order

STEPS = ("prepare", "evaluate", "train", "report")


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "step",
        help="run one step from its order, as the launcher does",
        description="Run one step. Its progress, and in the end its manifest or its fault, are JSON lines on stdout.",
    )
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("order", type=Path, help="JSON with the spec, the store and the runtime")
    parser.add_argument(
        "--until-stdin-closes",
        action="store_true",
        help="end when standard input closes, so that no death of the caller leaves the step behind",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the step; the fault line on stdout is for the launcher, the sentence on stderr for a person."""
    from effreason.errors import EffreasonError, UserError
    from effreason.progress import Fault, emit

    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: _stop(options.step, stopping))
    if options.until_stdin_closes:
        threading.Thread(target=_die_with_the_caller, daemon=True).start()
    try:
        manifest = _produce(_order(options), stopping)
    except EffreasonError as error:
        kind = "user" if isinstance(error, UserError) else "failure"
        emit("fault", Fault(kind=kind, happened=error.happened, remedy=error.remedy).model_dump())
        raise
    except Exception as error:  # a fault of the project or its libraries: the traceback goes to the log of the step
        happened = f"The step failed unexpectedly with {type(error).__name__}: {error}."
        emit("fault", Fault(kind="failure", happened=happened, remedy="Its log has the traceback.").model_dump())
        raise
    emit("manifest", manifest)
    return 0


def _produce(order: "Order", stopping: threading.Event) -> dict[str, object]:
    from effreason.progress import emit_progress
    from effreason.steps import produce
    from effreason.store import open_store

    return produce(order.spec, open_store(order.store), order.runtime, emit_progress, stopping).model_dump(mode="json")


def _order(options: argparse.Namespace) -> "Order":
    from pydantic import ValidationError

    from effreason.errors import UserError
    from effreason.order import Order

    try:
        order = Order.model_validate_json(options.order.read_text())
    except OSError as error:
        raise UserError(f"{options.order} cannot be read ({error.strerror}).", "Give the path of an order.") from error
    except ValidationError as error:
        raise UserError(f"{options.order} is not an order: {error}.", "Orders are made by the launcher.") from error
    if order.spec.step != options.step:
        raise UserError(
            f"{options.order} orders the step {order.spec.step}, not {options.step}.",
            f"Run `effreason step {order.spec.step} {options.order}`.",
        )
    return order


def _stop(step: str, stopping: threading.Event) -> None:
    """Training saves a checkpoint and leaves; the other steps have nothing to save."""
    if step == "train":
        stopping.set()
    else:
        raise SystemExit(128 + signal.SIGTERM)


def _die_with_the_caller() -> None:
    while os.read(sys.stdin.fileno(), 1):  # not through a buffer, whose lock would trouble the interpreter's end
        pass
    os._exit(137)
