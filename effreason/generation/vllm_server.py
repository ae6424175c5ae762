"""A vLLM server behind the `Generator` seam: token ids go there and come back, with their log-probabilities.

Asked over `/v1/completions`, which takes prompts as token ids; docs/vllm.md says how it is started. What it holds is
replaced over `/collective_rpc`, which a server has with VLLM_SERVER_DEV_MODE=1 alone: whoever reaches that address can
make it do anything, so it belongs on a private one. Weights go through a folder that both sides can read. A server
serves one step at a time (`effreason.generation.vllm_turn`).
"""

import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import torch

from effreason.choices import VllmServer
from effreason.errors import StepFailure
from effreason.generation import Limits, OnCompletion, Request
from effreason.generation.handing_over import lay_down, open_to_all
from effreason.generation.vllm_calls import OF_WORKERS, Calls
from effreason.generation.vllm_snapshot import copy_weights, folder_of
from effreason.generation.vllm_turn import Turn
from effreason.models import Stored
from effreason.records import Completion


class ServedGenerator:
    """The backend for a vLLM server that runs elsewhere."""

    def __init__(self, server: VllmServer, model: Stored, *, scored: bool = False) -> None:
        """Wait for the server and have it hold the model's weights. `scored` asks for log-probabilities.

        Raises:
            UserError: the server refuses them, as it does without VLLM_SERVER_DEV_MODE=1.
            StepFailure: no server answers, others are at work there, or the hub does not give the weights.
        """
        self.server = server
        self.model = model
        self.scored = scored
        self._calls = Calls(server.url)
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
        """Return the completions of each request in order; see `effreason.generation.Generator`.

        Raises `StepFailure` unless the server has had our weights all the while, and no others.
        """
        calls = Calls(self.server.url)
        groups: dict[int, list[Completion]] = {}
        done = 0
        with ThreadPoolExecutor(self.server.parallel, thread_name_prefix="vllm") as threads:
            try:
                coming = {
                    threads.submit(self._completions, calls, one, limits): place for place, one in enumerate(requests)
                }
                for future in as_completed(coming):
                    groups[coming[future]] = future.result()
                    self._turn.refuse_if_lost()
                    done += len(groups[coming[future]])
                    if on_completion is not None:
                        on_completion(done)
            except BaseException:
                threads.shutdown(wait=False, cancel_futures=True)
                calls.end()
                raise
        self._turn.check()
        return [groups[place] for place in range(len(requests))]

    @property
    def room(self) -> int:
        """The most tokens of a prompt and its completion together."""
        return int(self._calls.ask("/v1/models")["data"][0]["max_model_len"])

    def load(self, weights: Iterable[tuple[str, torch.Tensor]]) -> None:
        """Replace the weights, given by their names in transformers, and forget what was read with the old ones.

        Raises `StepFailure` if another step has taken the server; that one's weights stay.
        """
        with tempfile.TemporaryDirectory(prefix="effreason-weights-", dir=self.server.folder) as folder:
            lay_down(weights, Path(folder))
            open_to_all(Path(folder))
            self._reload(folder)

    def close(self) -> None:
        """Release the server, which is not ours to end, to others."""
        self._turn.end()

    def _hold(self, where: Path) -> None:
        if self.server.folder is None:
            self._reload(str(where))
            return
        with tempfile.TemporaryDirectory(prefix="effreason-weights-", dir=self.server.folder) as folder:
            copy_weights(where, Path(folder))
            open_to_all(Path(folder))
            self._reload(folder)

    def _reload(self, where: str) -> None:
        self._turn.take(where)
        if not self._calls.ask("/reset_prefix_cache", {})["success"]:
            raise StepFailure(
                "The vLLM server could not reset its prefix cache.", "Check that no other client uses the server."
            )

    def _of_workers(self, method: str, arguments: dict[str, object]) -> list[dict[str, Any]]:
        told = self._calls.ask(OF_WORKERS, {"method": method, "kwargs": arguments})
        answers: list[dict[str, Any]] = told["results"]
        return answers

    def _completions(self, calls: Calls, request: Request, limits: Limits) -> list[Completion]:
        reply = calls.ask("/v1/completions", self._asking(request, limits))
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
