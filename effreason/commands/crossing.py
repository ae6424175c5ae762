"""From our own environment to that of vLLM, whose dependencies exclude Prefect's: docs/vllm.md."""

import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from effreason.choices import Engine

VLLM_PYTHON = "EFFREASON_VLLM_PYTHON"
"""In the environment: the interpreter that has vLLM; where it says none, that of .venv-vllm beside our own."""

IN_VLLM = "EFFREASON_IN_VLLM"
"""Set in the environment of what was sent on to the interpreter that has vLLM: it is sent nowhere else."""


def go_where_vllm_is(engine: "Engine | None", words: Sequence[str]) -> None:
    """Become `effreason WORDS` in the interpreter that has vLLM, where `engine` is vLLM in the step's own process.

    Returns where there is nothing to cross for, and where there is no such interpreter: what follows says itself what
    it lacks.
    """
    from effreason.choices import Vllm

    beside = Path(sys.prefix).parent / ".venv-vllm" / "bin" / "python"
    python = Path(os.environ.get(VLLM_PYTHON, beside))
    if IN_VLLM in os.environ or not isinstance(engine, Vllm) or find_spec("vllm") or not python.exists():
        return
    sys.stdout.flush()
    command = [str(python), "-m", "effreason", *words]
    os.execve(python, command, {**os.environ, IN_VLLM: "1"})  # noqa: S606  the same program, no shell
