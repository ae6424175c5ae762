"""One child process: every line of its output, and the guarantee that it is gone afterwards.

The child leads a process group of its own, so Ctrl-C in the terminal reaches only this process, which then asks the
child to end in good order. Its standard input is a pipe whose other end only this process holds: when this process
dies, even by SIGKILL, the pipe closes, at which a step ends.
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
"""Time from SIGTERM, on which a training run saves a checkpoint, to SIGKILL."""
TICK_SECONDS = 0.25
"""Interval at which the end of a child and a request to stop are checked."""
CHUNK_BYTES = 1 << 16

Process = subprocess.Popen[bytes]


class Line(NamedTuple):
    """One line of a child's output."""

    text: str
    logged: bool
    """Whether the line is from standard error; standard output belongs to the protocol."""


class Stopped(StepFailure):
    """The step was ended because the whole run is ending."""

    def __init__(self) -> None:
        super().__init__("The step was stopped.", "Run the experiment again to continue from what is done.")


@contextmanager
def child(command: Sequence[str], environment: Mapping[str, str], descriptors: Sequence[int] = ()) -> Iterator[Process]:
    """Start a process; once the block is left, in whatever way, neither it nor a child of it is alive.

    Besides its standard streams it inherits the open files in `descriptors`.
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
    """Yield every line until the process has ended. Raises `Stopped` soon after `stopping` is set."""
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
                return  # a grandchild holds the pipes open; it is ended when the block is left


def line_of(text: bytes, logged: bool) -> Line:
    """Decode one line; of a progress bar, which rewrites its line after each carriage return, keep the last state."""
    return Line(text.decode(errors="replace").rstrip().rpartition("\r")[2], logged)


def code_of(process: Process) -> int:
    """Return the exit code of a process whose output has ended; the negative number of a signal if one ended it.

    A process that does not exit within the grace period is ended.
    """
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
