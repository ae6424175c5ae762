"""A decoding loop for causal language models of transformers, made for rollouts and evaluation.

What it does that the library's `generate` does not; effreason.benchmarks.generation measures what each is worth:

1. a prompt of a group is read once, and its keys and values copied to the rows of its completions;
2. the cache is laid out once and never grows by copying (`cache`);
3. finished rows leave the batch: the last rows move to their places, and waiting completions follow, one by one or in
   waves;
4. the query heads of a group read their keys and values as they lie (`decoder`), and a small Llama on a CPU is decoded
   by a leaner step (`llama`);
5. random numbers belong to the completion, not to the batch (`noise`).

The weights are read at every call, so a generator that is asked again in training uses what has been learned since.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from effreason.generation import Limits, OnCompletion, Request
from effreason.generation.cache import Rows
from effreason.generation.decoder import Decoder
from effreason.generation.llama import LlamaDecoder, suits
from effreason.generation.noise import keys, uniforms
from effreason.generation.room import positions, refuse_beyond_positions
from effreason.models import Loaded
from effreason.records import Completion

CPU_CACHE_BYTES = 2 << 30
"""The memory that keys and values may take in main memory; on a GPU it is half of what is free."""

MOST_ROWS = 256
"""The most concurrent rows: more of them only exceed the processor's cache."""

LEAVING_SHARE = 16
"""Rows leave together when one in so many has finished."""

ENTERING_SHARE = 4
"""Waiting completions enter together when one place in so many is free, unless the decoder works in waves."""

PREFILL_TOKENS = 16_384
"""The most prompt tokens that are read at a time; bounds the memory of activations."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One completion that is asked for."""

    request: int
    index: int


@dataclass(frozen=True, slots=True)
class _Finished:
    """A completion as sampled. Made by `_Batch`; read by `Sampler`."""

    wanted: _Wanted
    token_ids: tuple[int, ...]
    truncated: bool
    log_probabilities: tuple[float, ...] | None


class Sampler:
    """The transformers backend of the `Generator` protocol."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        eos_ids: frozenset[int] | None = None,
        *,
        scored: bool = False,
    ) -> None:
        """`eos_ids` end a completion; None takes the tokenizer's own. `scored` asks for log-probabilities."""
        self.model = model
        self.tokenizer = tokenizer
        self.eos_ids = eos_ids or frozenset({int(tokenizer.eos_token_id)})
        self.scored = scored

    @property
    def room(self) -> int | None:
        """The most tokens of a prompt and its completion together; see `effreason.generation.room.positions`."""
        return positions(self.model.config)

    @torch.inference_mode()
    def generate(
        self, requests: Sequence[Request], limits: Limits, on_completion: OnCompletion | None = None
    ) -> list[list[Completion]]:
        """Return the completions of each request in order; see `effreason.generation.Generator`.

        Raises `UserError` for a model of a kind that cannot be decoded here, and where a prompt and its completion have
        more positions than the model, or than its long-rope was trained at.
        """
        refuse_beyond_positions(requests, limits, self.model.config)
        found: dict[_Wanted, Completion] = {}
        with _evaluating(self.model):
            for finished in _Batch(self, requests, limits).run():
                texts = self.tokenizer.batch_decode([one.token_ids for one in finished], skip_special_tokens=True)
                for one, text in zip(finished, texts, strict=True):
                    found[one.wanted] = Completion(text, one.token_ids, one.truncated, one.log_probabilities)
                if on_completion is not None:
                    on_completion(len(found))
        return [
            [found[_Wanted(number, index)] for index in range(request.count)] for number, request in enumerate(requests)
        ]


def open_sampler(loaded: Loaded) -> Sampler:
    """Return the sampler of a loaded model."""
    return Sampler(loaded.model, loaded.tokenizer, loaded.eos_ids)


class _Batch:
    """The state of one call: rows that are being decoded, and completions that wait.

    Tensors have one entry a row, in the order of the cache; the first `len(wanted)` are in use. `places` is where a
    row's last token stands, counted from the start of its prompt, `final` the last place that it may take. What is
    kept for every token has a spare place after the last: a row that is over and cannot leave yet writes there.
    """

    def __init__(self, sampler: Sampler, requests: Sequence[Request], limits: Limits) -> None:
        self.decoder = LlamaDecoder(sampler.model) if suits(sampler.model) else Decoder(sampler.model)
        self.requests = requests
        self.limits = limits
        self.eos_ids = sampler.eos_ids
        self.scored = sampler.scored
        # Those with the longest prompts first: prompts that are read together are padded little.
        order = sorted(range(len(requests)), key=lambda number: -len(requests[number].prompt_ids))
        self.waiting = deque(_Wanted(number, index) for number in order for index in range(requests[number].count))
        self.wanted: list[_Wanted] = []
        # One token beyond the limit, since the end-of-sequence token does not count.
        self.length = max((len(request.prompt_ids) for request in requests), default=0) + limits.max_tokens + 1
        capacity = min(len(self.waiting), _most_rows(sampler.model, self.length))
        self.cache = Rows(capacity, self.length)
        self._lay_out(capacity, sampler.model.device)

    def _lay_out(self, capacity: int, device: torch.device) -> None:
        self.places = torch.zeros(capacity, dtype=torch.long, device=device)
        self.final = torch.zeros(capacity, dtype=torch.long, device=device)
        self.over = torch.zeros(capacity, dtype=torch.bool, device=device)
        self.last = torch.zeros(capacity, dtype=torch.long, device=device)
        places = self.length + 1
        self.tokens = torch.zeros(capacity, places, dtype=torch.long, device=device)
        self.noise = torch.zeros(capacity, places, dtype=torch.float64, device=device)
        self.scores = torch.zeros(capacity, places if self.scored else 0, dtype=torch.float32, device=device)

    def run(self) -> Iterator[list[_Finished]]:
        """Decode until every completion has ended."""
        capacity = self.cache.capacity
        needed = capacity if self.decoder.in_waves else max(1, capacity // ENTERING_SHARE)
        while self.waiting or self.wanted:
            count = len(self.wanted)
            if self.waiting and capacity - count >= min(len(self.waiting), needed):
                while self.waiting and len(self.wanted) < capacity:
                    self._enter()
            else:
                self.cache.place(self.places[:count])
                self._draw(slice(0, count), self.decoder.step(self.last[:count], self.cache))
            yield from self._leave()

    def _enter(self) -> None:
        """Read the prompts of as many waiting completions as may be read at once, and draw their first tokens."""
        entering = self._next_waiting(self.cache.capacity - len(self.wanted))
        numbers = list(dict.fromkeys(wanted.request for wanted in entering))
        prefilled = self.decoder.prefill([self.requests[number].prompt_ids for number in numbers])
        copies = torch.tensor([numbers.index(wanted.request) for wanted in entering], device=self.places.device)
        self.cache.admit(prefilled.cache, copies)
        rows = slice(len(self.wanted), len(self.wanted) + len(entering))
        self.wanted += entering
        self._enrol(rows, prefilled.lengths[copies])
        self._draw(rows, prefilled.logits[copies])

    def _next_waiting(self, free: int) -> list[_Wanted]:
        """Take at most `free` completions, whose prompts are at most `PREFILL_TOKENS` long together (or only one)."""
        entering = [self.waiting.popleft()]
        unread = PREFILL_TOKENS - self._prompt_tokens(entering[0])
        while self.waiting and len(entering) < free:
            if self.waiting[0].request != entering[-1].request:
                unread -= self._prompt_tokens(self.waiting[0])
            if unread < 0:
                break
            entering.append(self.waiting.popleft())
        return entering

    def _prompt_tokens(self, wanted: _Wanted) -> int:
        return len(self.requests[wanted.request].prompt_ids)

    def _enrol(self, rows: slice, lengths: torch.Tensor) -> None:
        """Set the rows of completions whose prompts have these lengths."""
        device = self.places.device
        entering = self.wanted[rows]
        seeds = torch.tensor([self.requests[wanted.request].seed for wanted in entering], device=device)
        indices = torch.tensor([wanted.index for wanted in entering], device=device)
        positions = torch.arange(self.noise.shape[1], device=device) - lengths[:, None]
        self.noise[rows] = uniforms(keys(seeds, indices)[:, None], positions)
        self.places[rows] = lengths - 1
        self.final[rows] = lengths + self.limits.max_tokens
        self.over[rows] = False

    def _draw(self, rows: slice, logits: torch.Tensor) -> None:
        """Take the next token of each row. A row that is over goes on, unread, until it leaves."""
        places = self.places[rows].add_(1)
        drawn = _chosen(logits, self.noise[rows].gather(1, places[:, None]), self.limits)
        self.last[rows] = drawn[:, 0]
        self.tokens[rows].scatter_(1, places[:, None], drawn)
        if self.scored:
            self.scores[rows].scatter_(1, places[:, None], _log_probabilities(logits, drawn, self.limits))
        ended = places >= self.final[rows]
        for eos_id in self.eos_ids:
            ended |= drawn[:, 0] == eos_id
        self.over[rows] |= ended
        places.clamp_(max=self.length - 1)  # the last in the cache; the token after it goes to the spare place

    def _leave(self) -> Iterator[list[_Finished]]:
        """Yield finished completions and free their rows, once enough have finished."""
        count = len(self.wanted)
        over = self.over[:count].nonzero()[:, 0].tolist()
        if len(over) * LEAVING_SHARE < count or not over:
            return
        yield [self._finished(row) for row in over]
        left = set(over)
        kept = count - len(over)
        sources = [row for row in range(kept, count) if row not in left]
        targets = [row for row in over if row < kept]
        for source, target in zip(sources, targets, strict=True):
            self.wanted[target] = self.wanted[source]
        del self.wanted[kept:]
        self._shrink(kept, torch.tensor(sources, dtype=torch.long), torch.tensor(targets, dtype=torch.long))

    def _shrink(self, count: int, sources: torch.Tensor, targets: torch.Tensor) -> None:
        """Keep the first `count` rows, after copying the rows `sources` over `targets`."""
        for column in (self.places, self.final, self.over, self.last, self.tokens, self.noise, self.scores):
            column[targets] = column[sources]
        self.cache.shrink(count, sources, targets)

    def _finished(self, row: int) -> _Finished:
        wanted = self.wanted[row]
        born = self._prompt_tokens(wanted)
        drawn = self.tokens[row, born : born + self.limits.max_tokens + 1].tolist()
        end = next((place for place, token in enumerate(drawn) if token in self.eos_ids), None)
        kept = self.limits.max_tokens if end is None else end + 1
        scores = tuple(self.scores[row, born : born + kept].tolist()) if self.scored else None
        return _Finished(wanted, tuple(drawn[:kept]), end is None, scores)


def _most_rows(model: PreTrainedModel, length: int) -> int:
    """Return the largest number of concurrent rows of `length` tokens."""
    config = model.config
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    row_bytes = 2 * config.num_hidden_layers * heads * size * length * model.dtype.itemsize
    return max(1, min(_cache_bytes(model.device) // int(row_bytes), MOST_ROWS))


def _cache_bytes(device: torch.device) -> int:
    if device.type != "cuda":
        return CPU_CACHE_BYTES
    free, _ = torch.cuda.mem_get_info(device)
    idle = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(free + idle) // 2


def _chosen(logits: torch.Tensor, uniform: torch.Tensor, limits: Limits) -> torch.Tensor:
    """Return tokens sampled by inverting the cumulative distribution at `uniform`: both (rows, 1)."""
    if limits.temperature == 0:
        return logits.argmax(dim=-1, keepdim=True)
    weights = (logits / limits.temperature).softmax(dim=-1)
    if limits.top_p < 1:
        weights = _nucleus(weights, limits.top_p)
    cumulative = weights.cumsum(dim=-1, dtype=torch.float64)
    # Scaled by the total, which rounding keeps a little from 1: no token of weight 0 is ever taken.
    drawn = torch.searchsorted(cumulative, uniform * cumulative[:, -1:], right=True)
    return drawn.clamp_(max=logits.shape[-1] - 1)


def _log_probabilities(logits: torch.Tensor, drawn: torch.Tensor, limits: Limits) -> torch.Tensor:
    """Return the log-probabilities of the drawn tokens, before top-p truncation: likewise (rows, 1), float32."""
    return (logits / (limits.temperature or 1.0)).log_softmax(dim=-1).gather(1, drawn)


def _nucleus(weights: torch.Tensor, top_p: float) -> torch.Tensor:
    """Keep the likeliest tokens whose weights reach `top_p` together; set the others to 0 (Holtzman et al. 2020)."""
    ranked, order = weights.sort(dim=-1, descending=True)
    outside = ranked.cumsum(dim=-1) - ranked >= top_p
    return weights.scatter(-1, order, ranked.masked_fill(outside, 0.0))


@contextmanager
def _evaluating(model: PreTrainedModel) -> Iterator[None]:
    """Keep the model in evaluation mode while the block runs."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
