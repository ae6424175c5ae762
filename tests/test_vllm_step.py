"""A step whose engine is vLLM goes on where vLLM is, and only once."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from effreason.choices import BuiltInModel, ChainSumSource, FolderHome, Prompt
from effreason.commands.crossing import IN_VLLM, VLLM_PYTHON
from effreason.order import Order
from effreason.specs import EvaluateSpec, PrepareSpec, Protocol, Suite
from effreason.steps import produce
from effreason.store import open_store
from effreason.workbench import Runtime


@pytest.fixture
def order(tmp_path: Path) -> Path:
    """Of an evaluation by vLLM."""
    source = ChainSumSource()
    suites = (Suite(name="sums", source=source, problems=6),)
    home = FolderHome(path=str(tmp_path / "store"))
    prepare = PrepareSpec(source=source, train_problems=0, validation_problems=0, suites=suites, seed=0)
    produce(prepare, open_store(home))
    protocol = Protocol.model_validate(
        {"samples": 1, "temperature": 0, "max_tokens": 200, "engine": {"kind": "vllm", "cache_gib": 0.25}}
    )
    spec = EvaluateSpec(model=BuiltInModel(), problems=prepare.address, prompt=Prompt(), protocol=protocol)
    path = tmp_path / "order.json"
    path.write_text(Order(spec=spec, store=home, runtime=Runtime(threads=1, device="cpu")).model_dump_json())
    return path


def step(order: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "effreason", "step", "evaluate", str(order)]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=500)


@pytest.fixture
def interpreter(tmp_path: Path) -> Path:
    """One that only says how it was called."""
    path = tmp_path / "python"
    path.write_text(f'#!/bin/sh\necho "$@" in_vllm=${IN_VLLM}\n')
    path.chmod(0o755)
    return path


needs_no_vllm = pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is here: the step need not go anywhere")


@needs_no_vllm
def test_the_same_step_goes_on_in_the_interpreter_that_has_vllm(order, interpreter):
    done = step(order, **{VLLM_PYTHON: str(interpreter)})
    assert done.stdout == f"-m effreason step evaluate {order} in_vllm=1\n"


@needs_no_vllm
def test_a_step_that_was_sent_on_says_what_it_lacks_and_goes_nowhere_else(order, interpreter):
    done = step(order, **{VLLM_PYTHON: str(interpreter), IN_VLLM: "1"})
    assert done.returncode == 2
    assert "make vllm" in done.stderr
    assert '"kind":"user"' in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(not (Path(sys.prefix).parent / ".venv-vllm").exists(), reason="needs vLLM: make vllm")
def test_an_evaluation_by_vllm_is_made_and_its_standard_output_is_the_protocol_alone(order):
    done = step(order)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = done.stdout.splitlines()
    assert all(line.startswith(('{"progress"', '{"manifest"')) for line in lines)
    assert lines[-1].startswith('{"manifest"')
