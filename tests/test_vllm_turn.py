"""Steps that meet at one vLLM server, stop there or see it fail. The server is a stub; no vLLM is needed."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from stub_vllm import FIRST_TOKEN, StubVllm, laid_down, weights

from effreason.choices import BuiltInModel, VllmServer
from effreason.errors import StepFailure, UserError
from effreason.generation import Limits, Request, vllm_turn
from effreason.generation.vllm_server import ServedGenerator
from effreason.models import Stored, stored

LIMITS = Limits(0.0, 1.0, 5)


@pytest.fixture(scope="module")
def built_in(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    return stored(BuiltInModel(), tmp_path_factory.mktemp("stored"))


@pytest.fixture
def server(built_in: Stored) -> Iterator[StubVllm]:
    stub = StubVllm(min(built_in.eos_ids))
    yield stub
    stub.going.set()
    stub.shutdown()
    stub.server_close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_turn, "BEAT_SECONDS", 0.02)
    monkeypatch.setattr(vllm_turn, "LOOK_SECONDS", 1.0)


@pytest.fixture
def mute(monkeypatch: pytest.MonkeyPatch) -> None:
    """No step is heard of but when it asks."""
    monkeypatch.setattr(vllm_turn, "BEAT_SECONDS", 1000.0)
    monkeypatch.setattr(vllm_turn, "LOOK_SECONDS", 0.05)


@pytest.fixture
def held(server: StubVllm, built_in: Stored, tmp_path: Path) -> Callable[[int], ServedGenerator]:
    """A step that has the server hold the weights `which`."""

    def hold(which: int) -> ServedGenerator:
        where = str(laid_down(tmp_path / f"weights {which}", which))
        model = Stored(where, None, False, built_in.tokenizer, built_in.eos_ids)
        return ServedGenerator(VllmServer(url=server.url, parallel=1), model)

    return hold


def asked(generator: ServedGenerator, count: int) -> list[tuple[int, int]]:
    """Of each of `count` completions, which weights began and which ended it."""
    groups = generator.generate([Request((5,), 1, seed) for seed in range(count)], LIMITS)
    return [(one.token_ids[0] - FIRST_TOKEN, one.token_ids[1] - FIRST_TOKEN) for [one] in groups]


def test_a_step_that_comes_to_a_server_at_work_waits_and_both_draw_from_their_own_weights(server, held, caplog):
    with closing(held(1)) as first:
        server.going.clear()
        drawn: list[tuple[int, int]] = []
        thread = threading.Thread(target=lambda: drawn.extend(asked(first, 4)))
        thread.start()
        server.wait_for_requests(1)
        newcomer: list[ServedGenerator] = []
        coming = threading.Thread(target=lambda: newcomer.append(held(2)))
        coming.start()
        coming.join(2.5)
        assert coming.is_alive()
        assert f"{server.url} is busy with another step; this step waits" in caplog.text
        server.going.set()
        thread.join()
        assert drawn == [(1, 1)] * 4
        first.load(weights(3).items())
        assert asked(first, 2) == [(3, 3)] * 2
    coming.join()
    with closing(newcomer[0]) as second:
        assert asked(second, 2) == [(2, 2)] * 2


def test_all_completions_of_a_prompt_are_one_request(server, held):
    with closing(held(1)) as generator:
        groups = generator.generate([Request((5,), 4, 0), Request((6,), 3, 1)], LIMITS)
    assert [len(group) for group in groups] == server.counts == [4, 3]


def test_a_step_that_has_ended_or_failed_to_begin_makes_way_at_once(server, held, monkeypatch):
    monkeypatch.setattr(vllm_turn, "PATIENCE_SECONDS", 0.0)
    held(1).close()
    server.running = 1
    with pytest.raises(StepFailure, match="could not reset its prefix cache"):
        held(2)
    server.running = 0
    with closing(held(3)) as third:
        assert asked(third, 1) == [(3, 3)]
        with pytest.raises(StepFailure, match="is busy with another step"):
            held(4)


def test_a_step_that_died_makes_way(server, held, mute):
    held(1)
    with closing(held(2)) as second:
        assert asked(second, 1) == [(2, 2)]


def test_weights_that_change_while_a_completion_is_drawn_end_the_step(server, held, mute):
    first = held(1)
    server.going.clear()
    failures: list[StepFailure] = []

    def ask() -> None:
        try:
            asked(first, 1)
        except StepFailure as failure:
            failures.append(failure)

    thread = threading.Thread(target=ask)
    thread.start()
    server.wait_for_requests(1)
    with pytest.raises(StepFailure, match="could not reset"):  # the one that took over may not draw either
        held(2)
    server.going.set()
    thread.join()
    assert "no longer has the weights of this step" in failures[0].happened
    assert "one server each" in failures[0].remedy


def test_a_step_whose_weights_were_replaced_neither_draws_nor_takes_the_server_back(server, held, mute):
    first = held(1)
    assert asked(first, 1) == [(1, 1)]
    with closing(held(2)) as second:
        with pytest.raises(StepFailure, match="no longer has the weights of this step"):
            asked(first, 1)
        with pytest.raises(StepFailure, match="no longer has the weights of this step"):
            first.load(weights(3).items())
        first.close()
        assert asked(second, 1) == [(2, 2)]
    with pytest.raises(StepFailure, match="no longer has the weights of this step"):
        asked(first, 1)


def test_a_server_that_was_started_anew_has_not_the_step_s_weights(server, held):
    with closing(held(1)) as generator:
        server.worker = type(server.worker)()
        with pytest.raises(StepFailure, match="it was restarted"):
            asked(generator, 1)


def test_a_step_that_hears_that_its_weights_are_gone_asks_no_further(server, held):
    with closing(held(1)) as generator:
        server.going.clear()
        threading.Timer(0.3, server.going.set).start()
        server.worker = type(server.worker)()
        with pytest.raises(StepFailure, match="no longer has the weights of this step"):
            asked(generator, 100)
        assert server.asked < 50


@pytest.mark.parametrize("status", [500, 503])
def test_a_server_whose_engine_dies_is_a_failure_that_may_be_tried_again(server, held, status):
    with closing(held(1)) as generator:
        server.failing, server.status = "/v1/completions", status
        with pytest.raises(StepFailure, match=rf"failed at /v1/completions with status {status}.*dead"):
            asked(generator, 3)


def test_a_server_that_refuses_the_request_or_lacks_the_extension_is_started_otherwise_by_its_user(server, held):
    with closing(held(1)) as generator:
        server.failing, server.status = "/v1/completions", 400
        with pytest.raises(UserError, match="refused /v1/completions with status 400"):
            asked(generator, 3)
    server.failing, server.status = "/collective_rpc", 500
    with pytest.raises(UserError, match="refused /collective_rpc with status 500"):
        held(2)


def test_a_step_that_is_stopped_leaves_at_once_and_may_ask_again(server, held):
    with closing(held(1)) as generator:
        server.going.clear()
        threading.Timer(0.5, signal.pthread_kill, [threading.main_thread().ident, signal.SIGINT]).start()
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            asked(generator, 20)
        assert time.monotonic() - began < 5
        assert server.asked == 1
        server.going.set()
        assert asked(generator, 2) == [(1, 1)] * 2
