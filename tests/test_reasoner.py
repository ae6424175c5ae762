"""Holds the shipped weights to what their card promises, with slack for the sample, in less than a minute."""

from random import Random
from statistics import fmean

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from effreason.problems.chain_sum import chain_sums, worked
from effreason.reasoner import WEIGHTS, digest
from effreason.reasoner.measurement import Rate, Solution, accuracy, accuracy_within, headroom, solve
from effreason.reasoner.pretraining import Training, reproducibly, train
from effreason.reasoner.vocabulary import TOKENS, build_tokenizer


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(WEIGHTS).eval()


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(WEIGHTS)


@pytest.fixture(scope="module")
def solutions(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[Solution]:
    """At temperature 1: 32 problems, 8 solutions of each."""
    torch.manual_seed(1)
    return solve(model, tokenizer, [chain for chain in chain_sums(32, seed=11) for _ in range(8)])


def test_reasoning_at_temperature_one_is_nearly_always_right(solutions: list[Solution]) -> None:
    assert accuracy(solutions).hits / len(solutions) >= 0.9


def test_a_forced_answer_is_mostly_wrong(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    forced = solve(model, tokenizer, chain_sums(500, seed=12), forced=True)
    assert accuracy(forced).hits / len(forced) <= 0.5


def test_longer_chains_cost_more_tokens(solutions: list[Solution]) -> None:
    short = fmean(solution.tokens for solution in solutions if solution.chain.terms <= 5)
    long = fmean(solution.tokens for solution in solutions if solution.chain.terms >= 7)
    assert long > 1.5 * short


def test_a_larger_budget_never_hurts(solutions: list[Solution]) -> None:
    within = [accuracy_within(budget, solutions).hits for budget in (8, 32, 64, 128, 256)]
    assert within == sorted(within)
    assert within[0] < within[-1]


def test_solutions_verify_and_backtrack_but_not_all(solutions: list[Solution]) -> None:
    for shares in ([solution.verified for solution in solutions], [solution.backtracked for solution in solutions]):
        assert 0.1 < fmean(shares) < 0.95


def test_most_tokens_are_redundant(solutions: list[Solution]) -> None:
    assert headroom(solutions).shortest_share < 0.5


def test_a_question_is_encoded_with_bos_and_without_eos(tokenizer: PreTrainedTokenizerBase) -> None:
    tokens = tokenizer.convert_ids_to_tokens(tokenizer("7+5=?").input_ids)
    assert tokens == ["<bos>", "7", "+", "5", "=", "?"]


def test_encoding_and_decoding_give_the_text_back(tokenizer: PreTrainedTokenizerBase) -> None:
    random = Random(0)
    texts = [worked(chain, random) for chain in chain_sums(200, seed=0)]
    assert tokenizer.batch_decode(tokenizer(texts, add_special_tokens=False).input_ids) == texts


def test_padding_is_not_the_end_of_sequence_and_strange_text_is_unknown(tokenizer: PreTrainedTokenizerBase) -> None:
    assert tokenizer.pad_token_id != tokenizer.eos_token_id
    assert tokenizer("pudding", add_special_tokens=False).input_ids == [tokenizer.unk_token_id]


def test_no_token_stands_twice_in_the_vocabulary() -> None:
    assert len(set(TOKENS)) == len(TOKENS)


def test_the_weights_are_small_and_their_digest_is_stable() -> None:
    assert sum(file.stat().st_size for file in WEIGHTS.iterdir()) < 3_000_000
    assert digest() == digest()
    assert len(digest()) == 64


def test_the_recipe_makes_the_same_weights_twice() -> None:
    with reproducibly():
        first, second = (train(Training(steps=2), build_tokenizer()).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_wilson_interval_holds_its_share_and_stays_within_bounds() -> None:
    low, high = Rate(10, 10).interval
    assert 0.69 < low < 0.73
    assert high == pytest.approx(1)
