"""One step at a time at a vLLM server: the others wait, and whoever has lost its turn is told.

A step claims the server under a name that nobody else ever has, says every `BEAT_SECONDS` that it is still there, and
gives the server back in the end. The workers keep the name (`effreason.generation.vllm_worker`) and take weights from
the holder alone. So whoever still is the holder after its completions have come back was the holder while they were
drawn. A holder that was not heard of between two looks of another step, because it was killed or cut off, has lost it.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from effreason.errors import EffreasonError, StepFailure

BEAT_SECONDS = 5.0
ASK_SECONDS = 1.0
"""The interval at which a waiting step asks whether the server is free."""
LOOK_SECONDS = 30.0
"""The interval at which a waiting step checks that the holder is alive: as long as it may be silent."""
PATIENCE_SECONDS = 3600.0
"""The time limit of waiting for other steps."""

Call = Callable[[str, dict[str, object]], list[dict[str, Any]]]
"""A function that has every worker run a method with these arguments and returns each worker's report of its holder."""

log = logging.getLogger(__name__)


class Turn:
    """The period during which the server is ours."""

    def __init__(self, url: str, call: Call) -> None:
        """Wait until the server is free, and claim it.

        Raises:
            UserError: the server cannot be held, as without VLLM_SERVER_DEV_MODE=1.
            StepFailure: others are still at work there after `PATIENCE_SECONDS`, or no server answers.
        """
        self._url = url
        self._call = call
        self._name = secrets.token_hex(16)
        self._over = threading.Event()
        self._lost = threading.Event()
        self._claim()
        threading.Thread(target=self._beat, name="vllm-turn", daemon=True).start()

    def take(self, folder: str) -> None:
        """Have the server load the weights in a folder. Raises `StepFailure` if it is ours no longer."""
        self._refuse_unless(self._ours("take_weights", folder=folder))

    def check(self) -> None:
        """Raise `StepFailure` unless the server has been ours until now."""
        self._refuse_unless(self._ours("keep_weights"))

    def refuse_if_lost(self) -> None:
        """Raise `StepFailure` if it is known already that the server is ours no longer; asks nobody."""
        self._refuse_unless(not self._lost.is_set())

    def end(self) -> None:
        """Give the server back."""
        self._over.set()
        with suppress(EffreasonError):  # one that does not answer is nobody's
            self._ours("leave_weights")

    def _claim(self) -> None:
        began = looked = time.monotonic()
        held = seen = self._claimed(None)
        if held["holder"] != self._name:
            log.warning("The vLLM server at %s is busy with another step; this step waits.", self._url)
        while held["holder"] != self._name:
            if time.monotonic() - began > PATIENCE_SECONDS:
                raise StepFailure(
                    f"The vLLM server at {self._url} is busy with another step.",
                    "Wait until that step has ended, or start one server per step.",
                )
            time.sleep(ASK_SECONDS)
            if time.monotonic() - looked < LOOK_SECONDS:
                held = self._claimed(None)
            else:
                held = seen = self._claimed(seen)
                looked = time.monotonic()

    def _claimed(self, instead_of: dict[str, Any] | None) -> dict[str, Any]:
        """Return who holds the server: this step, if nobody did, or if the holder has been silent since last seen."""
        return self._call("claim_weights", {"holder": self._name, "instead_of": instead_of})[0]

    def _beat(self) -> None:
        while not self._over.wait(BEAT_SECONDS):
            with suppress(EffreasonError):  # no answer does not say whose turn it is
                if not self._ours("keep_weights"):
                    self._lost.set()
                    return

    def _ours(self, method: str, **arguments: object) -> bool:
        told = self._call(method, {"holder": self._name, **arguments})
        return all(held["holder"] == self._name for held in told)

    def _refuse_unless(self, ours: bool) -> None:
        if not ours:
            raise StepFailure(
                f"The vLLM server at {self._url} no longer has the weights of this step: it was restarted, or "
                "another step took it over after this one had not called for a while.",
                "Run the experiment again; steps that run concurrently need one server each.",
            )
