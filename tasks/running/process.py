"""One child process: every line that it says, and the certainty that it is gone afterwards.

The child leads a process group of its own, so that Ctrl-C in the terminal reaches this process alone, which then asks
the child to end in good order. Its standard input is a pipe whose other end nobody but this process holds: when this
process dies, even by SIGKILL, the pipe closes, and a step ends at that.
"""

import os
import selectors
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import IO, NamedTuple

from effreason.errors import StepFailure

GRACE_SECONDS = 5.0
"""From SIGTERM, at which a training saves a checkpoint, to SIGKILL."""
TICK_SECONDS = 0.25
"""How soon the end of a child and the word to stop are noticed."""
CHUNK_BYTES = 1 << 16

Process = subprocess.Popen[bytes]


class Line(NamedTuple):
    """One line of a child's output."""

    text: str
    logged: bool
    """From standard error; what is on standard output belongs to the protocol."""


class Stopped(StepFailure):
    """The step was ended because the whole run ends."""

    def __init__(self) -> None:
        super().__init__("The step was stopped.", "Run the experiment again to continue from what is done.")


@contextmanager
def child(command: Sequence[str], environment: Mapping[str, str], descriptors: Sequence[int] = ()) -> Iterator[Process]:
    """Start a process and, when the block is left in whatever way, see that neither it nor a child of it is alive.

    It inherits the open files that `descriptors` names, beside its standard streams.
    """
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        process_group=0,
        pass_fds=descriptors,
    )
    try:
        yield process
    finally:
        _end(process)
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def lines(process: Process, stopping: threading.Event) -> Iterator[Line]:
    """Every line until the process has ended. Raises `Stopped` soon after `stopping` is set."""
    partial: dict[IO[bytes], bytes] = {}
    with selectors.DefaultSelector() as selector:
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                partial[pipe] = b""
                selector.register(pipe, selectors.EVENT_READ, data=pipe)
        while selector.get_map():
            ready = selector.select(TICK_SECONDS)
            for key, _ in ready:
                chunk = os.read(key.fd, CHUNK_BYTES)
                *whole, partial[key.data] = (partial[key.data] + chunk).split(b"\n")
                if not chunk:
                    whole = [partial[key.data]]
                    selector.unregister(key.fileobj)
                yield from (line_of(text, key.data is process.stderr) for text in whole if text.strip())
            if stopping.is_set():
                raise Stopped
            if not ready and process.poll() is not None:
                return  # the pipes are held open by a grandchild, whose end is that of the block


def line_of(text: bytes, logged: bool) -> Line:
    """A progress bar rewrites its line after each carriage return; the last state is what it says."""
    return Line(text.decode(errors="replace").rstrip().rpartition("\r")[2], logged)


def code_of(process: Process) -> int:
    """With which it ended, once its output has; one that then lingers is ended. Negative: the number of a signal."""
    with suppress(subprocess.TimeoutExpired):
        return process.wait(GRACE_SECONDS)
    _end(process)
    return process.returncode


def _end(process: Process) -> None:
    try:
        if process.poll() is None:
            process.terminate()
            process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    finally:
        _signal_group(process, signal.SIGKILL)
        process.wait()


def _signal_group(process: Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
