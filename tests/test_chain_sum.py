from collections import Counter
from random import Random

import pytest

from effreason.problems.chain_sum import ANSWER_MARK, ChainSum, chain_sums, worked


def solutions(count: int) -> list[tuple[ChainSum, str]]:
    random = Random(1)
    return [(chain, worked(chain, random)) for chain in chain_sums(count, seed=0)]


def test_the_answer_is_the_last_digit_of_the_sum() -> None:
    for chain in chain_sums(500, seed=3):
        digits = [int(digit) for digit in chain.question.removesuffix("=?").split("+")]
        assert chain.answer == str(sum(digits))[-1]
        assert chain.terms == len(digits)


def test_the_same_seed_gives_the_same_chains_and_another_seed_others() -> None:
    assert chain_sums(200, seed=5) == chain_sums(200, seed=5)
    assert chain_sums(200, seed=5) != chain_sums(200, seed=6)


def test_no_question_comes_twice() -> None:
    assert len({chain.question for chain in chain_sums(5_000, seed=0)}) == 5_000


def test_every_number_of_terms_has_an_equal_share() -> None:
    counts = Counter(chain.terms for chain in chain_sums(903, seed=0))
    assert set(counts) == set(range(2, 11))
    assert max(counts.values()) - min(counts.values()) <= 1


def test_longer_chains_fill_up_where_short_ones_run_out() -> None:
    counts = Counter(chain.terms for chain in chain_sums(9_000, seed=0))
    assert (counts[2], counts[3]) == (100, 1_000)
    assert max(counts[terms] for terms in range(4, 11)) - min(counts[terms] for terms in range(4, 11)) <= 1


def test_all_chains_of_two_terms_can_be_asked_for_but_no_more() -> None:
    assert len(chain_sums(100, seed=0, terms=(2, 2))) == 100
    with pytest.raises(ValueError, match="only 100 different chains"):
        chain_sums(101, seed=0, terms=(2, 2))


@pytest.mark.parametrize("terms", [(0, 3), (5, 4)])
def test_terms_that_are_no_range_are_refused(terms: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="terms must be at least 1"):
        chain_sums(10, seed=0, terms=terms)


def test_a_solution_ends_with_one_marked_digit() -> None:
    for _, text in solutions(500):
        assert text.count(ANSWER_MARK) == 1
        assert text[:-1].endswith(f"{ANSWER_MARK} ")
        assert text[-1].isdigit()


def test_almost_every_worked_solution_is_right() -> None:
    wrong = sum(text[-1] != chain.answer for chain, text in solutions(4_000))
    assert 0 < wrong < 80


def test_some_solutions_verify_and_some_do_not() -> None:
    verifying = sum("verify" in text or "let me check" in text for _, text in solutions(2_000))
    assert 0.4 < verifying / 2_000 < 0.8


def test_solutions_backtrack() -> None:
    backtracking = sum("redo" in text or "wait" in text for _, text in solutions(2_000))
    assert 0.2 < backtracking / 2_000 < 0.9
