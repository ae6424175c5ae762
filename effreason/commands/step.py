"""`effreason step STEP ORDER.json`: run one step here, telling its progress as JSON lines on standard output."""

import argparse
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from effreason.commands.crossing import go_where_vllm_is

if TYPE_CHECKING:
    from effreason.order import Order
    from effreason.workbench import Runtime

SEVERAL = "EFFREASON_SEVERAL"
"""Set in the environment of the processes that a launcher has started: none of them starts others."""

HANDED_OVER = Path("-")

STEPS = ("prepare", "evaluate", "train", "report", "gate")


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "step",
        help="run one step from its order, as the launcher does",
        description="Run one step. Its progress, and finally its manifest or its error, are JSON lines on stdout.",
    )
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("order", type=Path, help="JSON with the spec, the store and the runtime; - reads a handover")
    parser.add_argument(
        "--until-stdin-closes",
        action="store_true",
        help="end when standard input closes, so that the step does not outlive its caller",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the step; the fault line on stdout is for the launcher, the sentence on stderr for a person."""
    from effreason.errors import EffreasonError, UserError
    from effreason.progress import Fault, emit

    stopping = threading.Event()
    try:
        _take_over(options)
        _become_several(options)
        signal.signal(signal.SIGTERM, lambda *_: _stop(options.step, stopping))
        if options.until_stdin_closes:
            threading.Thread(target=_die_with_the_caller, daemon=True).start()
        order = _order(options)
        go_where_vllm_is(order.spec.engine, _same_step(options))
        if int(os.environ.get("RANK", "0")) > 0:  # one of several processes that train together, and not the first
            return _assist(order, stopping)
        manifest = _produce(order, stopping)
    except EffreasonError as error:
        kind = "user" if isinstance(error, UserError) else "failure"
        emit("fault", Fault(kind=kind, happened=error.happened, remedy=error.remedy).model_dump())
        raise
    except Exception as error:  # a fault of the project or its libraries: the traceback goes to the log of the step
        happened = f"The step failed unexpectedly with {type(error).__name__}: {error}."
        emit("fault", Fault(kind="failure", happened=happened, remedy=_remedy(error)).model_dump())
        raise
    emit("manifest", manifest)
    return 0


def _take_over(options: argparse.Namespace) -> None:
    """Put the path of an order in the place of the handover that standard input holds."""
    from effreason.errors import UserError

    if sys.stdin is None and (options.until_stdin_closes or options.order == HANDED_OVER):
        raise UserError("Standard input is closed.", "Leave it open, or give the path of an order alone.")
    if options.order == HANDED_OVER:
        from effreason.handover import received

        options.order = received()


def _remedy(error: Exception) -> str:
    if type(error).__name__ == "OutOfMemoryError":  # torch's, which is not imported for its name's sake
        return (
            "Lower `tokens_per_microbatch`, `max_tokens` or the generation engine's `cache_gib`, or use a larger GPU."
        )
    return "See the traceback in its log."


def _produce(order: "Order", stopping: threading.Event) -> dict[str, object]:
    from effreason.progress import emit_progress
    from effreason.steps import produce
    from effreason.store import open_store

    return produce(order.spec, open_store(order.store), order.runtime, emit_progress, stopping).model_dump(mode="json")


def _become_several(options: argparse.Namespace) -> None:
    """Go on as the processes that make a training together, where the order wants several and they are not there yet.

    This process becomes their launcher: it keeps its number, its standard streams and its place in the caller's group.
    """
    if options.step != "train" or "RANK" in os.environ or SEVERAL in os.environ:
        return
    runtime = _order(options).runtime
    if runtime.processes == 1:
        return
    command = [sys.executable, "-m", *_launcher(runtime), "-m", "effreason", *_same_step(options)]
    os.execve(sys.executable, command, {**os.environ, SEVERAL: "1"})  # noqa: S606  the same program, no shell


def _same_step(options: argparse.Namespace) -> list[str]:
    """What follows the name of the program."""
    ours = ["--until-stdin-closes"] if options.until_stdin_closes else []
    return ["step", *ours, options.step, str(options.order)]


def _launcher(runtime: "Runtime") -> list[str]:
    """torchrun where each process holds all; accelerate, whose configurations say how to share it out, elsewhere."""
    if runtime.sharding == "ddp":
        return ["torch.distributed.run", "--standalone", "--nproc-per-node", str(runtime.processes)]
    configuration = Path(__file__).parent.parent / "launching" / f"{runtime.sharding}.yaml"
    count = ["--num_processes", str(runtime.processes), "--main_process_port", "0"]
    return ["accelerate.commands.launch", "--config_file", str(configuration), *count]


def _assist(order: "Order", stopping: threading.Event) -> int:
    from effreason.steps import assist
    from effreason.store import open_store

    assist(order.spec, open_store(order.store), order.runtime, stopping)
    return 0


def _order(options: argparse.Namespace) -> "Order":
    from pydantic import ValidationError

    from effreason.errors import UserError
    from effreason.order import Order

    try:
        order = Order.model_validate_json(options.order.read_bytes())
    except OSError as error:
        raise UserError(f"{options.order} cannot be read ({error.strerror}).", "Give the path of an order.") from error
    except ValidationError as error:
        raise UserError(
            f"{options.order} is not an order: {error}.", "Use an order that the launcher has written."
        ) from error
    if order.spec.step != options.step:
        raise UserError(
            f"{options.order} is an order for the step {order.spec.step}, not {options.step}.",
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
