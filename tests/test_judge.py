"""The judge against a real server on loopback that answers as such endpoints do: well, badly, late, or not at all."""

import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random

import pytest

from effreason.artifacts import Evaluation
from effreason.behaviour.endpoint import KEY_VARIABLE, Endpoint
from effreason.behaviour.judge import Budget, Judge, Piece, parsed, prompt_of
from effreason.behaviour.kinds import KINDS
from effreason.choices import BuiltInModel, ChainSumSource, FolderHome, Prompt
from effreason.cli import main
from effreason.errors import StepFailure, UserError
from effreason.evaluation.completions import FILE, write_completions
from effreason.problems.chain_sum import ChainSum, worked
from effreason.problems.files import read_part
from effreason.provenance import provenance
from effreason.records import JudgedCompletion, Verdict
from effreason.specs import EvaluateSpec, PrepareSpec, Protocol, Suite
from effreason.steps import produce
from effreason.store import open_store

KEY = "key-that-nobody-may-see"
PIECES = [Piece(f"p{i}", f"7 + {i} = {7 + i}. Let me check.", f"7 + {i}?") for i in range(4)]


@dataclass
class Answer:
    """What the server sends next."""

    text: str | None = "COUNT=1"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay_seconds: float = 0.0
    body: bytes | None = None
    """In place of what the protocol demands."""


@dataclass
class Server:
    url: str
    answer: Callable[[int], Answer]
    """From how many requests came before."""
    bodies: list[dict] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.delenv(KEY_VARIABLE, raising=False)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            assert self.path == "/v1/chat/completions"
            told.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            told.headers.append(dict(self.headers))
            answer = told.answer(len(told.bodies) - 1)
            time.sleep(answer.delay_seconds)
            usage = {"prompt_tokens": 90, "completion_tokens": 10, "total_tokens": 100}
            said = {"choices": [{"message": {"role": "assistant", "content": answer.text}}], "usage": usage}
            body = json.dumps(said).encode() if answer.body is None else answer.body
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with suppress(BrokenPipeError):  # who waited has left
                self.wfile.write(body)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        told = Server(f"http://127.0.0.1:{listening.server_port}/v1", lambda _: Answer())
        threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True).start()
        yield told
        listening.shutdown()


def judge(server, tmp_path, calls=1000, tokens=None, **changes) -> Judge:
    endpoint = Endpoint(server.url, "wise", **({"wait_seconds": 0.01, "timeout_seconds": 5} | changes))
    return Judge(endpoint, tmp_path / "cache", Budget(calls, tokens))


@pytest.mark.parametrize(
    ("reply", "count"), [("COUNT=3", 3), (" COUNT=0\n", 0), ("<think>so COUNT=9\n</think>\nCOUNT=2", 2)]
)
def test_a_count_alone_on_the_last_line_is_read(reply, count):
    assert parsed(reply) == count


@pytest.mark.parametrize(
    "reply",
    ["", "3", "three", "COUNT=", "COUNT=-1", "COUNT=1.5", "COUNT=3 or 4", "The COUNT=3", "COUNT=2\nCOUNT=3",
     "COUNT=9999", "COUNT=3\nHope that helps!", "<think>COUNT=3"],
)  # fmt: skip
def test_any_other_reply_is_unjudged_and_never_zero(reply):
    assert parsed(reply) is None


def test_every_behaviour_is_asked_of_every_text_at_temperature_zero(server, tmp_path):
    told = judge(server, tmp_path).judge(PIECES)
    assert told.complete and told.counts == [dict.fromkeys(KINDS, 1)] * 4
    assert len(server.bodies) == 20 and {body["temperature"] for body in server.bodies} == {0}
    assert {body["model"] for body in server.bodies} == {"wise"}
    assert len({body["messages"][0]["content"] for body in server.bodies}) == 20
    assert PIECES[0].text in server.bodies[0]["messages"][0]["content"]


def test_what_was_judged_is_not_paid_for_twice(server, tmp_path):
    judge(server, tmp_path).judge(PIECES)
    again = judge(server, tmp_path, calls=1)
    assert again.judge(PIECES).complete
    assert (len(server.bodies), again.asked, again.remembered) == (20, 0, 20)


def test_another_model_is_asked_anew(server, tmp_path):
    judge(server, tmp_path).judge(PIECES[:1])
    other = Judge(Endpoint(server.url, "wiser"), tmp_path / "cache", Budget(100))
    other.judge(PIECES[:1])
    assert (other.asked, other.remembered) == (5, 0)


def test_a_reply_cut_short_on_disk_is_asked_for_again(server, tmp_path):
    judge(server, tmp_path).judge(PIECES[:1])
    next((tmp_path / "cache").iterdir()).write_text('{"cou')
    again = judge(server, tmp_path)
    assert again.judge(PIECES[:1]).complete and (again.asked, again.remembered) == (1, 4)


def test_a_budget_of_calls_ends_between_texts_and_the_next_run_goes_on(server, tmp_path):
    told = judge(server, tmp_path, calls=12).judge(PIECES)
    assert not told.complete and len(told.counts) == 2 and len(server.bodies) == 12
    rest = judge(server, tmp_path, calls=8).judge(PIECES)
    assert rest.complete and len(server.bodies) == 20


def test_a_budget_of_tokens_ends_when_the_server_has_reported_so_many(server, tmp_path):
    told = judge(server, tmp_path, tokens=950).judge(PIECES)
    assert not told.complete and len(told.counts) == 2 and len(server.bodies) == 10


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(server, tmp_path, status):
    server.answer = lambda before: Answer(status=status if before % 2 == 0 else 200)
    told = judge(server, tmp_path).judge(PIECES[:1])
    assert told.counts == [dict.fromkeys(KINDS, 1)] and len(server.bodies) == 10


def test_the_server_may_say_how_long_to_wait(server, tmp_path):
    server.answer = lambda before: Answer(status=200 if before else 429, headers={"Retry-After": "0"})
    started = time.monotonic()
    judge(server, tmp_path, wait_seconds=30).judge(PIECES[:1])
    assert time.monotonic() - started < 5


def test_a_server_that_stays_busy_leaves_the_text_unjudged_and_every_request_counts(server, tmp_path):
    server.answer = lambda _: Answer(status=500)
    asking = judge(server, tmp_path, calls=20, attempts=4)
    told = asking.judge(PIECES)
    assert told.counts == [dict.fromkeys(KINDS, None)] and not told.complete
    assert len(server.bodies) == 20 and not (tmp_path / "cache").exists()


def test_a_late_reply_is_waited_for_only_so_long(server, tmp_path):
    server.answer = lambda before: Answer(delay_seconds=0 if before else 2)
    told = judge(server, tmp_path, timeout_seconds=0.3).judge(PIECES[:1])
    assert told.counts == [dict.fromkeys(KINDS, 1)] and len(server.bodies) == 6


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"choices": []}', b'{"choices": [{"message": {}}]}', b"\xff"]
)
def test_garbage_is_unjudged_and_not_remembered(server, tmp_path, body):
    server.answer = lambda _: Answer(body=body)
    told = judge(server, tmp_path).judge(PIECES[:1])
    assert told.complete and told.counts == [dict.fromkeys(KINDS, None)]
    server.answer = lambda _: Answer()
    assert judge(server, tmp_path).judge(PIECES[:1]).counts == [dict.fromkeys(KINDS, 1)]


def test_the_key_goes_into_one_header_and_nowhere_else(server, tmp_path, monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    asking = judge(server, tmp_path)
    asking.judge(PIECES[:1])
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert KEY not in json.dumps(server.bodies) + repr(asking)
    assert all(KEY not in file.read_text() for file in (tmp_path / "cache").iterdir())


def test_a_refusal_names_the_remedy_but_not_the_key(server, tmp_path, monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    server.answer = lambda _: Answer(status=401, body=KEY.encode())
    with pytest.raises(UserError, match=KEY_VARIABLE) as raised:
        judge(server, tmp_path).judge(PIECES)
    assert KEY not in str(raised.value) and len(server.bodies) == 1


def test_the_key_does_not_follow_a_redirect(server, tmp_path, monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    server.answer = lambda _: Answer(status=307, headers={"Location": f"{server.url}/chat/completions"})
    with pytest.raises(UserError, match="307"):
        judge(server, tmp_path).judge(PIECES)
    assert len(server.bodies) == 1


def test_no_server_is_a_failure_and_no_address_a_mistake(tmp_path):
    with pytest.raises(StepFailure, match="No judge answers"):
        Judge(Endpoint("http://127.0.0.1:9/v1", "wise"), tmp_path, Budget(9)).judge(PIECES)
    with pytest.raises(UserError, match="is not a valid judge URL"):
        Endpoint("file:///etc/passwd", "wise")


def test_the_problem_is_given_as_context():
    assert "7 + 3?" in prompt_of("verification", "text", "7 + 3?")
    assert "(not given)" in prompt_of("verification", "text", None)


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """A store with the problems of one suite, and an evaluation whose answers are worked solutions, two a problem."""
    folder, files = tmp_path_factory.mktemp("store"), tmp_path_factory.mktemp("files")
    source, store = ChainSumSource(max_terms=4), open_store(FolderHome(path=str(folder)))
    sums = Suite(name="sums", source=source, problems=9)
    prepared = PrepareSpec(source=source, train_problems=5, validation_problems=0, suites=(sums,), seed=0)
    problems = read_part(store.fetch(produce(prepared, store), tmp_path_factory.mktemp("problems")), "sums")
    rows = [
        JudgedCompletion("sums", each.id, i, solution(each.question, i), 30, False, Verdict.RIGHT, each.answer)
        for each in problems
        for i in range(2)
    ]
    write_completions(files / FILE, rows)
    spec = EvaluateSpec(model=BuiltInModel(), problems=prepared.address, prompt=Prompt(), protocol=Protocol(samples=2))
    artifact = Evaluation(address=spec.address, suites={}, generated_tokens=540, seconds=1.0)
    store.seal(spec, artifact, files, provenance(datetime.now(UTC), 1.0))
    return folder, spec.address


def solution(question: str, sample: int) -> str:
    return worked(ChainSum(question, "", len(question) // 2), Random(f"{question}{sample}"))


def command(evaluated, server, tmp_path, *more) -> list[str]:
    folder, address = evaluated
    place = ["--store", str(folder), "--cache", str(tmp_path / "cache")]
    return ["judge", address, "--judge", server.url, "--model", "wise", *place, *more]


def test_the_command_prints_kappa_of_every_behaviour(evaluated, server, tmp_path, capsys):
    server.answer = lambda before: Answer(text=f"COUNT={before % 2}")
    assert main(command(evaluated, server, tmp_path, "--sample", "8")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:6]] == list(KINDS)
    assert "8 of 8 completions, 40 requests" in lines[6]


def test_the_command_asks_with_the_problem_and_says_how_far_it_came(evaluated, server, tmp_path, capsys):
    assert main(command(evaluated, server, tmp_path, "--budget", "12", "--json")) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["completions"], told["wanted"], told["complete"], told["requests"]) == (2, 18, False, 12)
    assert told["behaviours"]["subgoals"]["judge"] == 2
    assert "=?\n</problem>" in server.bodies[0]["messages"][0]["content"]


def test_what_is_no_evaluation_is_refused(evaluated, server, tmp_path, capsys):
    folder, _ = evaluated
    assert main(command((folder, "prepare"), server, tmp_path)) == 2
    assert "is not an evaluation" in capsys.readouterr().err


def test_a_cache_that_can_be_no_folder_is_refused_before_anything_is_asked(evaluated, server, tmp_path, capsys):
    (tmp_path / "cache").write_text("")
    assert main(command(evaluated, server, tmp_path)) == 2
    assert "is not a folder that can be used" in capsys.readouterr().err and not server.bodies
