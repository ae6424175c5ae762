"""Trains the built-in reasoner from nothing: next-token prediction on worked chain sums, written as they are needed.

Seeds and thread count are fixed and only deterministic kernels are used, so that the same machine with the same
libraries makes the same weights, bit for bit.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count, islice
from math import cos, pi
from random import Random

import torch
from torch.nn.functional import cross_entropy
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from effreason.problems.chain_sum import ChainSum, chain_sums, worked
from effreason.reasoner.measurement import SOLUTION_TOKENS
from effreason.reasoner.vocabulary import POSITIONS

THREADS = 1  # part of the recipe: sums split among threads round differently; so small a model gains little from two
SEED = 20_250_204
SHARPNESS = 1.1
"""The factor on the logits: after so short a training a little chance is left on all wrong digits; this takes some
of it away."""
ROUND = 32
"""Updates between two draws of chains."""
ROUNDS_A_TERM = 3
"""The rounds after which the longest chains get one term more, up to 10."""


@dataclass(frozen=True, slots=True)
class Training:
    """The settings of the pretraining. Made by the recipe; read by `train` and the card."""

    steps: int = 1_400
    batch: int = 32
    """Solutions per step."""
    peak_rate: float = 3e-3
    warmup_steps: int = 100
    weight_decay: float = 0.01
    largest_gradient: float = 1.0
    """The norm to which gradients are clipped."""

    def rate(self, step: int) -> float:
        """Return the learning rate: a linear warm-up, then half a cosine down to 0."""
        if step < self.warmup_steps:
            return self.peak_rate * (step + 1) / self.warmup_steps
        return self.peak_rate * (1 + cos(pi * (step - self.warmup_steps) / (self.steps - self.warmup_steps))) / 2


@contextmanager
def reproducibly() -> Iterator[None]:
    """Fix what torch's arithmetic depends on besides seeds, and set it back afterwards."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(THREADS)
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(deterministic)
        torch.set_num_threads(threads)


def train(training: Training, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Return the trained model, in evaluation mode, on the CPU in float32. Seeds torch; same bits within
    `reproducibly`."""
    torch.manual_seed(SEED)
    model = untrained(tokenizer).train()
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.95), weight_decay=training.weight_decay)
    for step, batch in enumerate(islice(batches(training.batch, tokenizer), training.steps)):
        for group in optimizer.param_groups:
            group["lr"] = training.rate(step)
        loss = batch_loss(model, batch)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), training.largest_gradient)
        optimizer.step()
        optimizer.zero_grad()
        if step % 100 == 0 or step == training.steps - 1:
            print(f"step {step:5d}  loss {loss.item():.4f}", flush=True)
    sharpen(model)
    return model.eval()


def sharpen(model: LlamaForCausalLM) -> None:
    """Scale the logits, by way of the last norm, so that temperature 1 samples as 1 / SHARPNESS did before."""
    with torch.no_grad():
        model.model.norm.weight.mul_(SHARPNESS)


def untrained(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Return the architecture with random weights."""
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=96,
            intermediate_size=256,
            num_hidden_layers=4,
            num_attention_heads=3,  # heads of 32: vLLM serves no smaller ones
            num_key_value_heads=3,
            max_position_embeddings=POSITIONS,
            tie_word_embeddings=True,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    model.generation_config = GenerationConfig(
        do_sample=True,
        temperature=1.0,
        max_new_tokens=SOLUTION_TOKENS,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return model


@dataclass(frozen=True, slots=True)
class Example:
    """A question with its solution. Made by `examples`; read by `padded`."""

    token_ids: list[int]
    """The tokens of <bos>, question, solution, <eos>."""
    question_tokens: int
    """The number of them, from the front, that are given and so not learnt."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Examples padded to one length. Made by `padded`; read by `batch_loss`."""

    token_ids: torch.Tensor
    """(solutions, tokens), padded on the right, so that causal attention needs no mask."""
    targets: torch.Tensor
    """(solutions, tokens): the token that comes next, -100 where none is to be learnt."""


def batches(size: int, tokenizer: PreTrainedTokenizerFast) -> Iterator[Batch]:
    """Yield batches without end; like with like, so that less is padding, in random order.

    Short chains come first, and longer ones little by little: so the sums of two digits are learnt in minutes, before
    there is a place in a long chain to keep. Meanwhile solutions of like length go together; their tokens weigh more
    the fewer they are, and the sums are learnt from the shortest. Afterwards chains of as many terms go together,
    however often they are verified, so that the model learns to verify as often as they do.
    """
    random = Random(SEED)
    for round_ in count():
        most = min(3 + round_ // ROUNDS_A_TERM, 10)
        chains = chain_sums(ROUND * size, SEED + round_, terms=(2, most))
        pool = sorted(examples(chains, random, tokenizer), key=_tokens if most < 10 else _question_tokens)
        for start in random.sample(range(0, len(pool), size), len(pool) // size):
            yield padded(pool[start : start + size], tokenizer)


def _tokens(example: Example) -> int:
    return len(example.token_ids)


def _question_tokens(example: Example) -> int:
    return example.question_tokens


def examples(chains: list[ChainSum], random: Random, tokenizer: PreTrainedTokenizerFast) -> Iterator[Example]:
    for chain in chains:
        question = tokenizer(chain.question).input_ids
        solution = tokenizer(worked(chain, random), add_special_tokens=False).input_ids
        yield Example([*question, *solution, tokenizer.eos_token_id], len(question))


def padded(group: list[Example], tokenizer: PreTrainedTokenizerFast) -> Batch:
    shape = len(group), max(len(example.token_ids) for example in group) - 1
    token_ids, targets = torch.full(shape, tokenizer.pad_token_id), torch.full(shape, -100)
    for row, example in enumerate(group):
        ids, given = torch.tensor(example.token_ids), example.question_tokens
        token_ids[row, : len(ids) - 1] = ids[:-1]
        targets[row, given - 1 : len(ids) - 1] = ids[given:]
    return Batch(token_ids, targets)


def batch_loss(model: LlamaForCausalLM, batch: Batch) -> torch.Tensor:
    """Return the mean cross-entropy in nats per token, over the tokens of the solutions."""
    logits = model(input_ids=batch.token_ids, use_cache=False).logits
    return cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), ignore_index=-100)
