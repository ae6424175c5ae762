"""A real vLLM server behind the `Generator` seam. Needs the environment of `make vllm`; `make test-vllm` runs it."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import huggingface_hub
import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from effreason.choices import BuiltInModel, Prompt, VllmServer
from effreason.errors import StepFailure, UserError
from effreason.generation import Limits, Request, vllm_turn
from effreason.generation.sampler import open_sampler
from effreason.generation.vllm_server import ServedGenerator
from effreason.models import Stored, load, stored
from effreason.problems.chain_sum import chain_sums
from effreason.prompts import render
from effreason.reasoner import WEIGHTS
from effreason.records import Completion

needs_vllm = pytest.mark.skipif(find_spec("vllm") is None, reason="needs vLLM: make vllm, then make test-vllm")


LIMITS = Limits(0.0, 1.0, 60)


def requests(tokenizer: PreTrainedTokenizerBase) -> list[Request]:
    prompts = [render(Prompt(), problem.question, tokenizer) for problem in chain_sums(24, 3)]
    return [Request(prompt, 1, 5) for prompt in prompts]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def awaited(url: str, server: subprocess.Popen[bytes], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(f"{url}/health", timeout=2).close()  # noqa: S310  our own server
            return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(1)
    raise AssertionError("the server did not come up")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of the built-in reasoner, started as docs/vllm.md says."""
    port, log = free_port(), tmp_path_factory.mktemp("server") / "log"
    options = [
        *("--host", "127.0.0.1", "--port", str(port), "--dtype", "float32", "--enforce-eager"),
        *("--generation-config", "vllm", "--config-format", "hf", "--load-format", "safetensors"),
        *("--logprobs-mode", "processed_logprobs"),
        *("--worker-extension-cls", "effreason.generation.vllm_worker.TakesWeights"),
        *("--kv-cache-memory-bytes", str(2**28), "--max-num-seqs", "64"),
    ]
    command = [Path(sys.executable).parent / "vllm", "serve", str(WEIGHTS), *options]
    environment = {**os.environ, "VLLM_SERVER_DEV_MODE": "1", "VLLM_NO_USAGE_STATS": "1"}
    with log.open("wb") as file:
        server = subprocess.Popen(command, env=environment, stdout=file, stderr=file, start_new_session=True)
    try:
        awaited(f"http://127.0.0.1:{port}", server, 400)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(60)


@needs_vllm
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_server_draws_what_our_own_sampler_draws_and_takes_other_weights(url, tmp_path):
    loaded = load(BuiltInModel(), "cpu")
    prompts = [render(Prompt(), problem.question, loaded.tokenizer) for problem in chain_sums(12, 3)]
    asked = [Request(prompt, 1, 5) for prompt in prompts]
    limits = Limits(0.0, 1.0, 200)
    folder = str(tmp_path)
    model = stored(BuiltInModel(), tmp_path)
    with closing(ServedGenerator(VllmServer(url=url, folder=folder), model, scored=True)) as generator:
        told: list[int] = []
        theirs = generator.generate(asked, limits, told.append)
        for [one], [other] in zip(open_sampler(loaded).generate(asked, limits), theirs, strict=True):
            assert (one.token_ids, one.text, one.truncated) == (other.token_ids, other.text, other.truncated)
        assert told[-1] == 12
        with torch.no_grad():
            for parameter in loaded.model.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
        generator.load(loaded.model.named_parameters())
        sampled = Limits(0.7, 1.0, 30)
        for request, group in zip(asked, generator.generate(asked, sampled), strict=True):
            for completion in group:
                ids = torch.tensor([[*request.prompt_ids, *completion.token_ids]])
                with torch.no_grad():
                    logits = loaded.model(ids).logits[0, len(request.prompt_ids) - 1 : -1] / sampled.temperature
                own = logits.log_softmax(-1).gather(1, torch.tensor(completion.token_ids)[:, None])[:, 0]
                torch.testing.assert_close(torch.tensor(completion.log_probabilities), own, rtol=0, atol=1e-4)
        with pytest.raises(UserError, match="refused /v1/completions"):
            generator.generate(asked[:1], Limits(0.0, 1.0, 600))
    assert list(tmp_path.iterdir()) == []


@dataclass(frozen=True)
class Greedy:
    """A model, and what it says to `requests` by our own sampler."""

    stored: Stored
    model: PreTrainedModel
    completions: list[list[Completion]]


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Greedy:
    """The built-in reasoner."""
    loaded = load(BuiltInModel(), "cpu")
    model = stored(BuiltInModel(), tmp_path_factory.mktemp("stored"))
    return Greedy(model, loaded.model, open_sampler(loaded).generate(requests(loaded.tokenizer), LIMITS))


@pytest.fixture(scope="module")
def other(usual: Greedy, tmp_path_factory: pytest.TempPathFactory) -> Greedy:
    """The same with other weights, in a folder."""
    loaded, folder = load(BuiltInModel(), "cpu"), tmp_path_factory.mktemp("other")
    noise = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in loaded.model.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=noise))
    loaded.model.save_pretrained(folder)
    completions = open_sampler(loaded).generate(requests(loaded.tokenizer), LIMITS)
    assert [one.token_ids for [one] in completions] != [one.token_ids for [one] in usual.completions]
    return Greedy(replace(usual.stored, where=str(folder)), loaded.model, completions)


@needs_vllm
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_step_that_comes_to_a_server_at_work_has_it_afterwards(url, usual, other, monkeypatch):
    monkeypatch.setattr(vllm_turn, "BEAT_SECONDS", 0.2)
    monkeypatch.setattr(vllm_turn, "LOOK_SECONDS", 3.0)
    asked = requests(usual.stored.tokenizer)
    with ThreadPoolExecutor(1) as threads:
        with closing(ServedGenerator(VllmServer(url=url), usual.stored)) as first:
            coming = threads.submit(ServedGenerator, VllmServer(url=url), other.stored)
            ends = time.monotonic() + 8
            while time.monotonic() < ends:
                assert first.generate(asked, LIMITS) == usual.completions
            assert not coming.done()
        with closing(coming.result()) as second:
            assert second.generate(asked, LIMITS) == other.completions


@needs_vllm
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_step_that_fell_silent_and_whose_weights_were_replaced_fails(url, usual, other, monkeypatch):
    monkeypatch.setattr(vllm_turn, "BEAT_SECONDS", 1000.0)
    monkeypatch.setattr(vllm_turn, "LOOK_SECONDS", 0.1)
    asked = requests(usual.stored.tokenizer)
    silent = ServedGenerator(VllmServer(url=url), usual.stored)
    assert silent.generate(asked, LIMITS) == usual.completions
    with closing(ServedGenerator(VllmServer(url=url), other.stored)) as newcomer:
        with pytest.raises(StepFailure, match="no longer has the weights of this step"):
            silent.generate(asked, LIMITS)
        with pytest.raises(StepFailure, match="no longer has the weights of this step"):
            silent.load(usual.model.named_parameters())
        assert newcomer.generate(asked, LIMITS) == other.completions


@needs_vllm
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_model_of_the_hub_is_served_at_the_revision_that_is_pinned(url, usual, other, monkeypatch):
    commits = {"c" * 40: other.stored.where, "main": usual.stored.where}
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda id, *, revision="main", **_: commits[revision])
    pinned = replace(other.stored, where="owner/name", revision="c" * 40)
    with closing(ServedGenerator(VllmServer(url=url), pinned)) as generator:
        assert generator.generate(requests(usual.stored.tokenizer), LIMITS) == other.completions


def test_a_server_that_is_not_there_is_named(tmp_path):
    address = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(StepFailure, match=f"No vLLM server answers at {address}"):
        ServedGenerator(VllmServer(url=address), stored(BuiltInModel(), tmp_path))
