"""Solves chain sums with the built-in reasoner and counts: what its card states and what its tests hold it to.

Plain `generate` of transformers, so that the figures owe nothing to this package's own samplers. Tokens never count the
end-of-sequence token. A solution that does not end by itself is wrong.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean
from typing import NamedTuple

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from effreason.problems.chain_sum import ANSWER_MARK, ChainSum, chain_sums

SOLUTION_TOKENS = 256
"""The token limit of a solution. About one in two hundred is longer."""
BUDGETS = tuple(range(8, 129, 8))
PROBLEMS = 1_024
GROUPS, GROUP_SIZE = 128, 8
SEED = 7

_ROWS = 256
_VERIFICATION = re.compile(r"\bverify\b|^let me check\b", re.MULTILINE)
_BACKTRACKING = re.compile(r"\b(?:wait|no|redo|hmm)\b")


@dataclass(frozen=True, slots=True)
class Solution:
    """One completion. Made by `solve`; read by the counts below and by the tests."""

    chain: ChainSum
    text: str
    """The text, decoded without special tokens."""
    tokens: int
    finished: bool
    """Whether the model ended it, not the limit."""

    @property
    def right(self) -> bool:
        return self.finished and self.text.endswith(f"{ANSWER_MARK} {self.chain.answer}")

    @property
    def verified(self) -> bool:
        return _VERIFICATION.search(self.text) is not None

    @property
    def backtracked(self) -> bool:
        return _BACKTRACKING.search(self.text) is not None


class Rate(NamedTuple):
    """A share of independent draws."""

    hits: int
    draws: int

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval, after Wilson 1927."""
        z, share = 1.96, self.hits / self.draws
        middle, scale = share + z * z / (2 * self.draws), 1 + z * z / self.draws
        reach = z * sqrt(share * (1 - share) / self.draws + (z / (2 * self.draws)) ** 2)
        return (middle - reach) / scale, (middle + reach) / scale

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.hits / self.draws:.1%} ({low:.1%} to {high:.1%})"


class Mean(NamedTuple):
    """A mean with the half-width of its 95% interval (normal)."""

    value: float
    reach: float

    def __str__(self) -> str:
        return f"{self.value:.1f} ± {self.reach:.1f}"


class Headroom(NamedTuple):
    """The gain that a reward on length can reach. Made from groups of samples of one problem."""

    shortest_share: float
    """Mean over problems: tokens of the shortest correct sample over mean tokens."""
    half: Rate
    """Share of problems whose shortest correct sample has less than half the mean tokens."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """The figures of the card. Made by `measure`; read by the card."""

    sampled: Sequence[Solution]
    greedy: Sequence[Solution]
    forced: Sequence[Solution]
    headroom: Headroom


def measure(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Measurement:
    """Measure all that the card states; about two minutes on one core. Seeds torch."""
    torch.manual_seed(SEED)
    chains = chain_sums(PROBLEMS, SEED)
    repeated = [chain for chain in chain_sums(GROUPS, SEED + 1) for _ in range(GROUP_SIZE)]
    return Measurement(
        sampled=solve(model, tokenizer, chains),
        greedy=solve(model, tokenizer, chains, greedy=True),
        forced=solve(model, tokenizer, chains, forced=True),
        headroom=headroom(solve(model, tokenizer, repeated)),
    )


def solve(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    chains: Sequence[ChainSum],
    *,
    greedy: bool = False,
    forced: bool = False,
) -> list[Solution]:
    """Return a solution of each chain, in ascending order of terms; at temperature 1 unless `greedy`.

    `forced` puts the answer mark behind the question and takes the likeliest next token for the answer: no reasoning.
    """
    ordered = sorted(chains, key=lambda chain: chain.terms)  # like lengths together: less padding, fewer steps in vain
    solutions: list[Solution] = []
    for start in range(0, len(ordered), _ROWS):
        rows = ordered[start : start + _ROWS]
        solutions += _forced(model, tokenizer, rows) if forced else _reasoned(model, tokenizer, rows, greedy)
    return solutions


def accuracy(solutions: Sequence[Solution]) -> Rate:
    return Rate(sum(solution.right for solution in solutions), len(solutions))


def accuracy_within(budget: int, solutions: Sequence[Solution]) -> Rate:
    """Return the share of solutions that give the correct answer in at most `budget` tokens."""
    return Rate(sum(solution.right and solution.tokens <= budget for solution in solutions), len(solutions))


def mean_tokens(solutions: Sequence[Solution]) -> Mean:
    tokens = torch.tensor([solution.tokens for solution in solutions], dtype=torch.float64)
    return Mean(tokens.mean().item(), 1.96 * tokens.std().item() / sqrt(len(solutions)))


def headroom(solutions: Sequence[Solution]) -> Headroom:
    """Measure the headroom on several solutions of each problem; problems without a correct one are left out."""
    groups: dict[str, list[Solution]] = {}
    for solution in solutions:
        groups.setdefault(solution.chain.question, []).append(solution)
    shares = [_shortest_share(group) for group in groups.values() if any(solution.right for solution in group)]
    return Headroom(fmean(shares), Rate(sum(share < 0.5 for share in shares), len(shares)))


def _shortest_share(group: Sequence[Solution]) -> float:
    shortest = min(solution.tokens for solution in group if solution.right)
    return shortest / fmean(solution.tokens for solution in group)


def _reasoned(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, chains: Sequence[ChainSum], greedy: bool
) -> list[Solution]:
    prompts = tokenizer([chain.question for chain in chains], padding=True, return_tensors="pt")
    choice = {"do_sample": False, "temperature": None} if greedy else {"do_sample": True, "temperature": 1.0}
    with torch.inference_mode():
        rows = model.generate(**prompts, max_new_tokens=SOLUTION_TOKENS, **choice)
    completions = rows[:, prompts.input_ids.shape[1] :].tolist()
    return [_solution(chain, row, tokenizer) for chain, row in zip(chains, completions, strict=True)]


def _solution(chain: ChainSum, row: list[int], tokenizer: PreTrainedTokenizerBase) -> Solution:
    finished = tokenizer.eos_token_id in row
    tokens = row.index(tokenizer.eos_token_id) if finished else len(row)
    return Solution(chain, tokenizer.decode(row[:tokens]), tokens, finished)


def _forced(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, chains: Sequence[ChainSum]) -> list[Solution]:
    prompts = tokenizer([chain.question + ANSWER_MARK for chain in chains], padding=True, return_tensors="pt")
    with torch.inference_mode():
        answers = model(**prompts).logits[:, -1].argmax(-1).tolist()
    return [
        Solution(chain, f"{ANSWER_MARK} {tokenizer.decode([answer])}", 2, True)
        for chain, answer in zip(chains, answers, strict=True)
    ]
