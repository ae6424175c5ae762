"""Processes that judge formulas, each under a deadline, each replaced when it dies.

They are programs started afresh, not forks, so that a parent with torch, CUDA or threads is safe; they start when the
first formula arrives, and end when their standard input closes, whatever way the parent ends.
"""

import contextlib
import json
import os
import select
import subprocess
import sys
import time

from effreason.errors import StepFailure
from effreason.extras import require
from effreason.records import Verdict

START_SECONDS = 120.0
"""The time limit for importing a computer algebra system on a busy machine."""
PATIENCE = 10
"""Wall-clock seconds per second of processor time before a silent worker is killed: a busy machine must not turn
correct answers into unjudged ones."""


class Worker:
    """One process, started at the first question and again after each death. Used by one thread at a time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The id of the process that runs; None before the first question and after a death."""
        return self._process.pid if self._process else None

    def ask(self, answer: str, gold: str) -> Verdict:
        """Return the verdict on a formula; UNJUDGED when the process died over it or ran out of time.

        Raises `UserError` when math-verify is not installed, `StepFailure` when no process can be started.
        """
        if self._process is None or self._process.poll() is not None:
            self._start()
        self._write(json.dumps({"answer": answer, "gold": gold}).encode() + b"\n")
        reply = self._line(self._seconds * PATIENCE)
        if not reply:
            self.close()
            return Verdict.UNJUDGED
        return Verdict(reply)

    def close(self) -> None:
        """Kill the process, if there is one."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _start(self) -> None:
        require("math_verify", "data", "Grading formulas")
        self.close()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "effreason.grading.symbolic", str(self._seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )
        if self._line(START_SECONDS) != "ready":
            self.close()
            raise StepFailure(
                f"The grader did not start within {START_SECONDS:g} s.",
                "Run `python -m effreason.grading.symbolic 1` to see why.",
            )

    def _write(self, question: bytes) -> None:
        """Send a question; a process that dies meanwhile is noticed when it gives no answer."""
        if self._process and self._process.stdin:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(question)

    def _line(self, seconds: float) -> str:
        """Return the next line that the process writes; empty when it ends or stays silent for `seconds`."""
        if self._process is None or self._process.stdout is None:
            return ""
        output = self._process.stdout.fileno()
        poll = select.poll()
        poll.register(output, select.POLLIN)
        deadline, read = time.monotonic() + seconds, b""
        while not read.endswith(b"\n"):
            left = deadline - time.monotonic()
            chunk = os.read(output, 4096) if left > 0 and poll.poll(left * 1000) else b""
            if not chunk:
                return ""
            read += chunk
        return read.decode().strip()
