"""A vLLM server behind the `Generator` seam: token ids go there and come back, with their log-probabilities.

Asked over `/v1/completions`, which takes prompts as token ids; docs/vllm.md says how it is started. What it holds is
replaced over `/collective_rpc`, which a server has with VLLM_SERVER_DEV_MODE=1 alone: whoever reaches that address can
make it do anything, so it belongs on a private one. Weights go through a folder that both sides can read. A server
serves one step at a time (`effreason.generation.vllm_turn`).
"""

import json
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request as HttpRequest
from urllib.request import urlopen

import torch

from effreason.choices import VllmServer
from effreason.errors import StepFailure, UserError
from effreason.generation import Limits, OnCompletion, Request
from effreason.generation.handing_over import lay_down
from effreason.generation.vllm_snapshot import folder_of
from effreason.generation.vllm_turn import Turn
from effreason.models import Stored
from effreason.records import Completion

TIMEOUT_SECONDS = 3600.0
"""Of one request, which waits its turn in the server."""


class ServedGenerator:
    """The backend of a vLLM that runs elsewhere."""

    def __init__(self, server: VllmServer, model: Stored, *, scored: bool = False) -> None:
        """Wait for the server and have it hold the model's weights. `scored` asks for log-probabilities.

        Raises:
            UserError: the server refuses them, as it does without VLLM_SERVER_DEV_MODE=1.
            StepFailure: no server answers, others are at work there, or the hub does not give the weights.
        """
        self.server = server
        self.model = model
        self.scored = scored
        where = folder_of(model)
        self._turn = Turn(server.url, self._of_workers)
        try:
            self._hold(where)
        except BaseException:
            self.close()
            raise

    def generate(
        self, requests: Sequence[Request], limits: Limits, on_completion: OnCompletion | None = None
    ) -> list[list[Completion]]:
        """For each request, its completions in order; see `effreason.generation.Generator`.

        Raises `StepFailure` unless the server has had our weights all the while, and no others.
        """
        done = 0
        with ThreadPoolExecutor(self.server.parallel, thread_name_prefix="vllm") as threads:
            coming = {threads.submit(self._completions, one, limits): place for place, one in enumerate(requests)}
            groups: dict[int, list[Completion]] = {}
            try:
                for future in as_completed(coming):
                    groups[coming[future]] = future.result()
                    self._turn.refuse_if_lost()
                    done += len(groups[coming[future]])
                    if on_completion is not None:
                        on_completion(done)
            except BaseException:
                threads.shutdown(wait=False, cancel_futures=True)
                raise
        self._turn.check()
        return [groups[place] for place in range(len(requests))]

    def load(self, weights: Iterable[tuple[str, torch.Tensor]]) -> None:
        """Replace the weights, given by their names in transformers, and forget what was read with the old ones.

        Raises `StepFailure` if another step has taken the server; that one's weights stay.
        """
        with tempfile.TemporaryDirectory(prefix="effreason-weights-", dir=self.server.folder) as folder:
            Path(folder).chmod(0o755)  # the server may be another user
            lay_down(weights, Path(folder))
            self._reload(folder)

    def close(self) -> None:
        """Leave the server, which is not ours to end, to others."""
        self._turn.end()

    def _hold(self, where: Path) -> None:
        if self.server.folder is None:
            self._reload(str(where))
            return
        with tempfile.TemporaryDirectory(prefix="effreason-weights-", dir=self.server.folder) as folder:
            Path(folder).chmod(0o755)
            shutil.copytree(where, folder, dirs_exist_ok=True)
            self._reload(folder)

    def _reload(self, where: str) -> None:
        self._turn.take(where)
        if not self._post("/reset_prefix_cache", {})["success"]:
            raise StepFailure("The vLLM server would not forget what it has read.", "Is it asked by others as well?")

    def _of_workers(self, method: str, arguments: dict[str, object]) -> list[dict[str, Any]]:
        answers: list[dict[str, Any]] = self._post("/collective_rpc", {"method": method, "kwargs": arguments})[
            "results"
        ]
        return answers

    def _completions(self, request: Request, limits: Limits) -> list[Completion]:
        reply = self._post("/v1/completions", self._asking(request, limits))
        return [self._completion(one, limits) for one in sorted(reply["choices"], key=lambda one: int(one["index"]))]

    def _asking(self, request: Request, limits: Limits) -> dict[str, object]:
        return {
            "prompt": list(request.prompt_ids),
            "n": request.count,
            "temperature": limits.temperature,
            "top_p": limits.top_p,
            "max_tokens": limits.max_tokens + 1,  # the end-of-sequence token does not count
            "seed": request.seed,
            "stop_token_ids": sorted(self.model.eos_ids),
            "ignore_eos": True,  # those above are all that end it
            "return_token_ids": True,
            **({"logprobs": 0} if self.scored else {}),
        }

    def _completion(self, choice: dict[str, Any], limits: Limits) -> Completion:
        drawn = tuple(choice["token_ids"])
        truncated = drawn[-1] not in self.model.eos_ids
        ids = drawn[: limits.max_tokens] if truncated else drawn
        text = str(self.model.tokenizer.decode(ids, skip_special_tokens=True))
        scores = tuple(choice["logprobs"]["token_logprobs"][: len(ids)]) if self.scored else None
        return Completion(text, ids, truncated, scores)

    def _post(self, path: str, body: dict[str, object]) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"}
        request = HttpRequest(self.server.url + path, json.dumps(body).encode(), headers)  # noqa: S310
        try:
            with urlopen(request, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310  the user's own server
                replied: dict[str, Any] = json.loads(response.read() or b"{}")
        except HTTPError as error:
            said = error.read(500).decode(errors="replace")
            raise UserError(
                f"The vLLM server at {self.server.url} refused {path} with status {error.code}: {said}",
                "Start it as docs/vllm.md says, with a model of the same architecture.",
            ) from error
        except (URLError, TimeoutError, HTTPException, ConnectionError) as error:
            raise StepFailure(
                f"No vLLM server answers at {self.server.url} ({error}).", "Start it as docs/vllm.md says."
            ) from error
        return replied
