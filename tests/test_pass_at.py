from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from effreason.evaluation.intervals import proportion
from effreason.evaluation.pass_at import estimate, pass_at


@st.composite
def tries(draw):
    samples = draw(st.integers(1, 200))
    return draw(st.integers(1, samples)), samples, draw(st.integers(0, samples))


@given(st.lists(tries(), min_size=1, max_size=5))
def test_the_estimate_is_the_share_of_subsets_with_a_right_one(cases):
    for k, samples, right in cases:
        defined = 1 - comb(samples - right, k) / comb(samples, k)
        assert estimate(k, np.array([samples]), np.array([right]))[0] == pytest.approx(defined, abs=1e-12)


def test_it_equals_the_humaneval_estimator_on_random_cases():
    random = np.random.default_rng(0)
    for _ in range(300):
        n, k = random.integers(1, 300), 1
        k, right = int(random.integers(1, n + 1)), random.integers(0, n + 1, size=20)
        published = [1.0 if n - c < k else 1.0 - np.prod(1.0 - k / np.arange(n - c + 1, n + 1)) for c in right]
        assert np.abs(estimate(k, np.full(20, n), right) - published).max() < 1e-12


def test_pass_at_1_is_the_accuracy_with_its_interval():
    right = np.array([4, 3, 0, 2, 4, 1])
    problems = [[1] * r + [0] * (4 - r) for r in right]
    assert pass_at(1, np.full(6, 4), right) == pytest.approx(proportion(problems))


def test_it_grows_with_k_and_reaches_the_share_of_problems_ever_solved():
    right = np.array([4, 3, 0, 2, 4, 1, 0, 8])
    centres = [pass_at(k, np.full(8, 8), right).centre for k in range(1, 9)]
    assert centres == sorted(centres)
    assert centres[-1] == 6 / 8


def test_problems_with_fewer_than_k_judged_samples_are_left_out():
    some = pass_at(3, np.array([4, 4, 2]), np.array([4, 0, 2]))
    assert some.centre == 0.5
    assert pass_at(3, np.array([4, 2]), np.array([4, 2])) is None
    assert pass_at(5, np.array([4, 4]), np.array([4, 2])) is None


@pytest.mark.parametrize("k", [1, 2, 4])
def test_it_is_covered_19_times_in_20(k):
    """50 problems whose solve rates are spread evenly between 0 and 1, 8 samples each."""
    random, runs = np.random.default_rng(1), 2000
    right = random.binomial(8, random.random((runs, 50)))
    truth = 1 - 1 / (k + 1)
    intervals = [pass_at(k, np.full(50, 8), one) for one in right]
    assert 0.93 <= np.mean([i.low <= truth <= i.high for i in intervals]) <= 0.975


@pytest.mark.parametrize(
    ("problems", "samples", "k", "rate", "alike"),
    [(100, 8, 4, 0.95, 0.6), (100, 8, 4, 0.8, 0.3), (30, 16, 8, 0.5, 0.3)],
)
def test_it_is_covered_where_few_problems_are_never_solved(problems, samples, k, rate, alike):
    """Two samples of one problem correlate by `alike`: the solve rates of problems are beta-distributed."""
    random, runs = np.random.default_rng(11), 2000
    solved, failed = rate * (1 - alike) / alike, (1 - rate) * (1 - alike) / alike
    right = random.binomial(samples, random.beta(solved, failed, (runs, problems)))
    truth = 1 - np.prod([(failed + j) / (solved + failed + j) for j in range(k)])
    intervals = [pass_at(k, np.full(problems, samples), one) for one in right]
    assert 0.93 <= np.mean([i.low <= truth <= i.high for i in intervals]) <= 0.98
