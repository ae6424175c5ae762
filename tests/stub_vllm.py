"""A server that answers as vLLM's does, with a real extension of its worker around made-up weights.

Its weights are one number, `which`, in a folder of safetensors. A completion tells which weights were there when it
began and when it ended, as tokens.
"""

import json
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from effreason.generation.vllm_worker import TakesWeights

FIRST_TOKEN = 10
"""Of the weights 0."""


def weights(which: int) -> dict[str, torch.Tensor]:
    return {"which": torch.tensor([which])}


def laid_down(folder: Path, which: int) -> Path:
    folder.mkdir()
    save_file(weights(which), folder / "model.safetensors")
    return folder


class Worker(TakesWeights):
    """Holds a number where vLLM's holds a model."""

    which = 0

    def reload_weights(self, weights_iterator: None, weights_path: str) -> None:
        self.which = int(load_file(Path(weights_path) / "model.safetensors")["which"])

    def lay_out_weights(self) -> None:
        """A number has no layout."""


class StubVllm(ThreadingHTTPServer):
    """Completions end as long as `going` is set; each request to the path `failing` fails."""

    daemon_threads = True

    def __init__(self, eos_id: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.eos_id = eos_id
        self.worker = Worker()
        self.going = threading.Event()
        self.going.set()
        self.failing: str | None = None
        self.status = 500
        self.asked = 0
        self.counts: list[int] = []
        """Of each request, how many completions it is for."""
        self.running = 0
        self.alone = threading.Condition()
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def wait_for_requests(self, count: int) -> None:
        with self.alone:
            assert self.alone.wait_for(lambda: self.asked >= count, 20)

    def answer(self, path: str, body: dict[str, object]) -> dict[str, object]:
        if path == "/v1/completions":
            return self._completions(int(str(body["n"])))
        with self.alone:
            if path == "/reset_prefix_cache":
                return {"success": self.running == 0}
            return {"results": [getattr(self.worker, body["method"])(**body["kwargs"])]}

    def _completions(self, count: int) -> dict[str, object]:
        with self.alone:
            began = self.worker.which
            self.asked += 1
            self.counts.append(count)
            self.running += 1
            self.alone.notify_all()
        self.going.wait(20)
        with self.alone:
            self.running -= 1
            ids = [FIRST_TOKEN + began, FIRST_TOKEN + self.worker.which, self.eos_id]
        return {"choices": [{"index": place, "token_ids": ids} for place in range(count)]}


class _Handler(BaseHTTPRequestHandler):
    server: StubVllm

    def log_message(self, *said: object) -> None:
        """Says nothing."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == self.server.failing:
            self._reply(self.server.status, {"error": "the engine is dead"})
            return
        reply = self.server.answer(self.path, body)
        with suppress(ConnectionError):  # the step has gone
            self._reply(200, reply)

    def _reply(self, status: int, body: dict[str, object]) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())
