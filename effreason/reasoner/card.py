"""The built-in reasoner's model card, written from what the recipe measured."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from effreason.problems.chain_sum import GUESS, MISS, VERIFICATIONS
from effreason.reasoner.measurement import (
    BUDGETS,
    GROUP_SIZE,
    SOLUTION_TOKENS,
    Measurement,
    Rate,
    Solution,
    accuracy,
    accuracy_within,
    mean_tokens,
)
from effreason.reasoner.pretraining import SHARPNESS, Training
from effreason.reasoner.vocabulary import POSITIONS, TOKENS

_CARD = """\
---
license: apache-2.0
language: en
library_name: transformers
pipeline_tag: text-generation
tags: [reasoning, test-fixture]
---

# The built-in reasoner of effreason

A Llama of {parameters:,} parameters that adds a chain of digits aloud and gives the last digit of the sum, so that
experiments with rewards on length run anywhere, without a network and without a GPU.

## Architecture

Llama: hidden size 96, 4 layers, 3 heads of 32, feed-forward 256, tied embeddings, {vocabulary} tokens (a digit, a sign
or a word each), up to {positions} positions, float32. Loads with `AutoModelForCausalLM` and `AutoTokenizer`.

## Data and training

Written by `effreason.problems.chain_sum`, nothing else: questions such as `7+5+8+3=?` of 2 to 10 digits, with worked
solutions that go step by step, first guess wrongly in {guess:.0%} of the steps and redo them, and verify the answer up
to {verifications} times. In {miss:.1%} of the steps the solution errs and does not notice, so that there is accuracy to
gain. {steps:,} updates of {batch} solutions, short chains first, AdamW, learning rate {peak_rate:g} after {warmup}
warm-up updates, then half a cosine down to 0; loss on the solutions only. The logits are then scaled by
{sharpness:g}, so that temperature 1 samples a little less at random than was learnt. `make reasoner` makes weights and
card anew; with the same libraries on the same kind of machine the weights are the same, bit for bit.

## Intended use and limits

For trying, testing and showing effreason. It knows one task and no language: nothing that it does says how large a
saving to expect of another model. Most questions of up to four digits have been seen in training; longer ones mostly
not. Chains of more than 10 digits are beyond it.

## Measured

By the recipe, with plain `generate`, solutions cut off at {limit} tokens; in brackets Wilson 95% intervals. Tokens
do not count the end-of-sequence token. An unfinished solution is wrong.

| | |
|---|---|
| Accuracy, temperature 1 | {sampled} |
| Accuracy, greedy | {greedy} |
| Accuracy of a forced answer (`####` right behind the question) | {forced} |
| Mean tokens, temperature 1 | {tokens} |
| Mean tokens, greedy | {greedy_tokens} |
| Cut off, temperature 1 | {unfinished} |
| Solutions that verify, temperature 1 | {verified} |
| Solutions that backtrack or doubt a step, temperature 1 | {backtracked} |
| Accuracy of solutions that verify | {verified_accuracy} |
| Accuracy of solutions that do not | {unverified_accuracy} |
| Shortest right of {group_size} samples, share of their mean tokens | {shortest:.1%} |
| Problems where it is less than half | {half} |

By number of terms, temperature 1:

| Terms | Accuracy | Tokens |
|---|---|---|
{by_terms}

By token budget, temperature 1: right answers given in at most so many tokens, among all.

| Budget | Accuracy |
|---|---|
{by_budget}
"""


def written(measured: Measurement, training: Training, parameters: int) -> str:
    """Return the card in Markdown."""
    sampled, greedy = measured.sampled, measured.greedy
    return _CARD.format(
        **_making(training, parameters),
        sampled=accuracy(sampled),
        greedy=accuracy(greedy),
        forced=accuracy(measured.forced),
        tokens=mean_tokens(sampled),
        greedy_tokens=mean_tokens(greedy),
        unfinished=_share(sampled, lambda solution: not solution.finished),
        verified=_share(sampled, lambda solution: solution.verified),
        backtracked=_share(sampled, lambda solution: solution.backtracked),
        verified_accuracy=accuracy([solution for solution in sampled if solution.verified]),
        unverified_accuracy=accuracy([solution for solution in sampled if not solution.verified]),
        shortest=measured.headroom.shortest_share,
        half=measured.headroom.half,
        by_terms="\n".join(_by_terms(sampled)),
        by_budget="\n".join(f"| {budget} | {accuracy_within(budget, sampled)} |" for budget in BUDGETS),
    )


def _making(training: Training, parameters: int) -> dict[str, object]:
    return {
        "parameters": parameters,
        "vocabulary": len(TOKENS),
        "positions": POSITIONS,
        "guess": GUESS,
        "miss": MISS,
        "verifications": len(VERIFICATIONS) - 1,
        "steps": training.steps,
        "batch": training.batch,
        "peak_rate": training.peak_rate,
        "warmup": training.warmup_steps,
        "sharpness": SHARPNESS,
        "limit": SOLUTION_TOKENS,
        "group_size": GROUP_SIZE,
    }


def _share(solutions: Sequence[Solution], has: Callable[[Solution], bool]) -> Rate:
    return Rate(sum(map(has, solutions)), len(solutions))


def _by_terms(solutions: Sequence[Solution]) -> Iterator[str]:
    """Yield the rows of the table; `solve` returns its solutions in ascending order of terms."""
    for terms, group in groupby(solutions, key=lambda solution: solution.chain.terms):
        chosen = list(group)
        yield f"| {terms} | {accuracy(chosen)} | {mean_tokens(chosen)} |"
