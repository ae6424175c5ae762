"""vLLM in this process behind the `Generator` seam (Kwon et al. 2023, arXiv 2309.06180).

vLLM is handed token ids and hands token ids back, with the log-probabilities that it drew them by: it has no tokenizer,
and nothing is ever encoded again. All completions of a prompt are one request, prefixes that prompts share are
read once, and a completion ends at the tokens that end it in our own sampler.

The engine holds a copy of the weights. `load` replaces them in place, in the layout that vLLM has made of them.
Departures from vLLM's defaults: it runs in this process, so that weights need no transport; it tells nobody that it
was used; and it logs to standard error, since a step's standard output is its protocol.
"""

import importlib.util
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import PreTrainedTokenizerBase

from effreason.choices import Vllm
from effreason.errors import StepFailure, UserError
from effreason.generation import Limits, OnCompletion, Request
from effreason.generation.handing_over import lay_down
from effreason.generation.room import refuse_what_is_too_long
from effreason.generation.vllm_parallel import leave_threads_unbound, refuse_uneven_parts
from effreason.generation.vllm_snapshot import NOT_READ
from effreason.models import Stored
from effreason.records import Completion

if TYPE_CHECKING:
    from vllm import LLM, RequestOutput, SamplingParams

ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",
    "VLLM_NO_USAGE_STATS": "1",
}
QUIET = {"VLLM_LOGGING_LEVEL": "ERROR"}
"""vLLM's log level, unless the user sets another."""

CPU_BLOCK_TOKENS = 32
"""Prefixes are shared in whole blocks: vLLM's own 128 on a CPU is longer than most questions."""


class VllmGenerator:
    """The vLLM backend of the `Generator` protocol. Close it to release its memory."""

    def __init__(
        self, llm: "LLM", tokenizer: PreTrainedTokenizerBase, eos_ids: frozenset[int], *, scored: bool = False
    ) -> None:
        """`eos_ids` end a completion; `scored` asks for log-probabilities."""
        self.llm = llm
        self.tokenizer = tokenizer
        self.eos_ids = eos_ids
        self.scored = scored

    def generate(
        self, requests: Sequence[Request], limits: Limits, on_completion: OnCompletion | None = None
    ) -> list[list[Completion]]:
        """Return the completions of each request in order; see `effreason.generation.Generator`.

        Raises `UserError` where a prompt and its completion are longer than the model, or the cache, can hold.
        """
        refuse_what_is_too_long(
            requests, limits, self.room, "Lower max_tokens, or raise cache_gib if the model can take more."
        )
        prompts = [{"prompt_token_ids": list(request.prompt_ids)} for request in requests]
        ids = self.llm.enqueue(prompts, [self._asking(request, limits) for request in requests], use_tqdm=False)
        return [self._completions(output, limits) for output in self._run(ids, on_completion)]

    @property
    def room(self) -> int:
        """The most tokens of a prompt and its completion together: as many as the model and the cache hold."""
        return int(self.llm.llm_engine.model_config.max_model_len)

    def load(self, weights: Iterable[tuple[str, torch.Tensor]]) -> None:
        """Replace the weights, given by their names in transformers, and forget what was read with the old ones.

        Raises `StepFailure` where the cache cannot be emptied.
        """
        if self.llm.llm_engine.vllm_config.parallel_config.world_size == 1:
            self.llm.collective_rpc("take_weights", kwargs={"weights": iter(weights)})
        else:
            with tempfile.TemporaryDirectory(prefix="effreason-weights-") as folder:
                lay_down(weights, Path(folder))
                self.llm.collective_rpc("take_weights", kwargs={"folder": folder})
        if not self.llm.reset_prefix_cache():
            raise StepFailure("vLLM could not reset its prefix cache.", "Run the experiment again.")

    def close(self) -> None:
        """End the engine; it cannot be used afterwards."""
        self.llm.llm_engine.engine_core.shutdown()
        from vllm.distributed import cleanup_dist_env_and_memory

        cleanup_dist_env_and_memory()

    def _asking(self, request: Request, limits: Limits) -> "SamplingParams":
        return _vllm().SamplingParams(
            n=request.count,
            temperature=limits.temperature,
            top_p=limits.top_p,
            max_tokens=limits.max_tokens + 1,  # the end-of-sequence token does not count
            seed=request.seed,
            logprobs=0 if self.scored else None,  # of the drawn token alone
            flat_logprobs=True,
            stop_token_ids=sorted(self.eos_ids),
            ignore_eos=True,  # those above are all that end it
            detokenize=False,
        )

    def _run(self, ids: Sequence[str], on_completion: OnCompletion | None) -> list["RequestOutput"]:
        """Return the outputs of the requests, in order; if the callback raises, all requests are dropped."""
        engine = self.llm.llm_engine
        finished: list[RequestOutput] = []
        try:
            while engine.has_unfinished_requests():
                ended = [output for output in engine.step() if output.finished]
                finished += ended
                if ended and on_completion is not None:
                    on_completion(sum(len(output.outputs) for output in finished))
        except BaseException:
            engine.abort_request(list(ids), internal=True)
            raise
        return sorted(finished, key=lambda output: int(output.request_id))

    def _completions(self, output: "RequestOutput", limits: Limits) -> list[Completion]:
        drawn = [tuple(one.token_ids) for one in output.outputs]
        truncated = [ids[-1] not in self.eos_ids for ids in drawn]
        kept = [ids[: limits.max_tokens] if cut else ids for ids, cut in zip(drawn, truncated, strict=True)]
        texts = self.tokenizer.batch_decode(kept, skip_special_tokens=True)
        return [
            Completion(text, ids, cut, tuple(one.logprobs.logprobs[: len(ids)]) if self.scored else None)
            for one, text, ids, cut in zip(output.outputs, texts, kept, truncated, strict=True)
        ]


def open_vllm(choice: Vllm, model: Stored, *, scored: bool = False) -> VllmGenerator:
    """Return an engine with the model's weights.

    Raises `UserError` where vLLM is not installed, or cannot serve the model in this way. Other errors at its start,
    such as memory that is taken, are raised unchanged: the same request may succeed later.
    """
    vllm = _vllm()
    if choice.tensor_parallel > 1:
        refuse_uneven_parts(choice.tensor_parallel, model)
        leave_threads_unbound()
    try:
        llm = vllm.LLM(model=model.where, **_settings(choice, model))
    except (ValueError, NotImplementedError) as error:
        raise UserError(
            f"vLLM cannot serve {model.where}: {str(error).strip().splitlines()[0]}",
            "Change the generation engine's tensor_parallel or cache_gib, or drop it to use the built-in sampler.",
        ) from error
    return VllmGenerator(llm, model.tokenizer, model.eos_ids, scored=scored)


def installed() -> bool:
    return importlib.util.find_spec("vllm") is not None


def _settings(choice: Vllm, model: Stored) -> dict[str, Any]:
    from vllm.platforms import current_platform

    on_cpu = current_platform.is_cpu()
    return {
        "revision": model.revision,
        "trust_remote_code": model.trust_remote_code,
        "skip_tokenizer_init": True,
        "generation_config": "vllm",  # none: every request says all
        "config_format": "hf",  # of models that Mistral has laid down in a format of its own as well
        "load_format": "safetensors",
        "ignore_patterns": NOT_READ,
        "dtype": "float32" if on_cpu or torch.bfloat16 not in current_platform.supported_dtypes else "bfloat16",
        "tensor_parallel_size": choice.tensor_parallel,
        "max_model_len": -1,  # as much as the model and the cache can hold
        "max_num_seqs": choice.rows,
        "worker_extension_cls": "effreason.generation.vllm_worker.TakesWeights",
        "kv_cache_memory_bytes": int(choice.cache_gib * 2**30),
        "enforce_eager": not choice.compiled,
        "enable_prefix_caching": True,
        "logprobs_mode": "processed_logprobs",  # as drawn, temperature included
        **({"block_size": CPU_BLOCK_TOKENS} if on_cpu else {}),
    }


def _vllm() -> Any:
    """Import vLLM with the environment that it needs here."""
    if not installed():
        raise UserError(
            "The generation engine vllm needs vLLM, which is not installed here.",
            "Run `make vllm`, and run the step with `effreason step`, which finds it; or drop the generation engine.",
        )
    os.environ.update(ENVIRONMENT)
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    import vllm

    return vllm
