"""Coverage is simulated: problems differ in how often they are solved, and their samples stand or fall together."""

from math import comb, exp, lgamma, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from effreason.evaluation.intervals import (
    difference,
    mean,
    proportion,
    proportion_of_rates,
    reduction,
    t_quantile,
)

SAMPLES = 4
ALIKE = (0.0, 0.3, 0.6)
"""Correlation of two samples of one problem: 0 where all problems are equally hard."""


def outcomes(rate: float, alike: float) -> np.ndarray:
    """The chance of 0 … SAMPLES right ones in a problem: beta-binomial with mean `rate`."""
    right = np.arange(SAMPLES + 1)
    if alike == 0:
        return np.array([comb(SAMPLES, c) * rate**c * (1 - rate) ** (SAMPLES - c) for c in right])
    a, b = rate * (1 - alike) / alike, (1 - rate) * (1 - alike) / alike

    def beta(x: float, y: float) -> float:
        return lgamma(x) + lgamma(y) - lgamma(x + y)

    return np.array([comb(SAMPLES, c) * exp(beta(a + c, b + SAMPLES - c) - beta(a, b)) for c in right])


def covered(problems: int, rate: float, alike: float, draws: int) -> float:
    """The share of simulated evaluations whose interval holds the true rate."""
    chances = outcomes(rate, alike)
    histograms = np.random.default_rng(7).multinomial(problems, chances / chances.sum(), size=draws)
    kinds, counts = np.unique(histograms, axis=0, return_counts=True)
    rates = np.arange(SAMPLES + 1) / SAMPLES
    intervals = [proportion_of_rates(np.repeat(rates, kind), SAMPLES) for kind in kinds]
    return sum(n for i, n in zip(intervals, counts, strict=True) if i.low <= rate <= i.high) / draws


@pytest.mark.parametrize("alike", ALIKE)
@pytest.mark.parametrize("rate", [0.2, 0.5, 0.8, 0.95])
@pytest.mark.parametrize("problems", [30, 100, 500])
def test_a_proportion_is_covered_19_times_in_20(problems, rate, alike):
    error = 2 * (0.05 * 0.95 / 2000) ** 0.5
    assert 0.93 - error <= covered(problems, rate, alike, 2000) <= 0.97 + error


@pytest.mark.parametrize("alike", ALIKE)
@pytest.mark.parametrize("problems", [30, 100, 500])
def test_a_rate_next_to_one_is_covered_too(problems, alike):
    assert covered(problems, 0.998, alike, 2000) >= 0.93


@pytest.mark.parametrize("alike", [0.8, 0.9])
def test_a_rate_next_to_one_is_covered_where_problems_are_solved_always_or_never(alike):
    assert covered(30, 0.995, alike, 2000) >= 0.93


def test_a_proportion_is_a_quarter_of_the_way_from_wilson_to_agresti_and_coull():
    """Of 9 in 10, Wilson's limits are 0.595850 and 0.982124, and theirs 0.574032 and 1.003942."""
    low, centre, high = proportion([[1]] * 9 + [[0]])
    expected = (0.75 * 0.595850 + 0.25 * 0.574032, 0.9, 0.75 * 0.982124 + 0.25 * 1.003942)
    assert (low, centre, high) == pytest.approx(expected, abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("alike", [0.0, 0.1, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("rate", [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("problems", [30, 100, 500])
def test_a_proportion_is_covered_19_times_in_20_everywhere(problems, rate, alike):
    assert 0.925 <= covered(problems, rate, alike, 20_000) <= 0.975


def paired(seed: int, runs: int, problems: int, rate: float, alike: float, easier: float) -> tuple:
    """Right answers of two models, runs × problems × samples; the second solves a share `easier` of what is left."""
    random = np.random.default_rng(seed)
    spread = (1 - alike) / alike
    solved = random.beta(rate * spread, (1 - rate) * spread, size=(runs, problems, 1))
    better = solved + easier * (1 - solved)
    shape = (runs, problems, SAMPLES)
    return (random.random(shape) < solved).astype(float), (random.random(shape) < better).astype(float)


@pytest.mark.parametrize("problems", [30, 100])
@pytest.mark.parametrize(
    ("rate", "alike", "easier"), [(0.5, 0.3, 0.0), (0.8, 0.3, 0.2), (0.9, 0.1, 0.0), (0.3, 0.6, 0)]
)
def test_a_paired_difference_is_covered(problems, rate, alike, easier):
    runs, truth = 500, easier * (1 - rate)
    intervals = [difference(*pair) for pair in zip(*paired(3, runs, problems, rate, alike, easier), strict=True)]
    share = np.mean([i.low <= truth <= i.high for i in intervals])
    assert 0.93 <= share <= 0.985


def test_a_one_sided_limit_of_a_difference_errs_once_in_20():
    sides = zip(*paired(6, 1000, 100, 0.9, 0.3, 0.0), strict=True)
    assert 0.03 <= np.mean([difference(old, new, confidence=0.90).low > 0 for old, new in sides]) <= 0.07


def test_pairing_narrows_a_difference_where_problems_differ():
    before, after = (one[0] for one in paired(4, 1, 200, 0.5, 0.8, 0.0))
    shuffled = np.random.default_rng(0).permutation(after)
    together, apart = difference(before, after), difference(before, shuffled)
    assert together.high - together.low < 0.7 * (apart.high - apart.low)


@pytest.mark.parametrize("problems", [30, 100])
@pytest.mark.parametrize("spread", [0.0, 0.3, 0.6])
def test_mean_tokens_and_their_reduction_are_covered(problems, spread):
    runs, keeps = 1000, 0.4
    random = np.random.default_rng(5)
    expected = 200 * np.exp(spread * random.standard_normal((runs, problems, 1)))
    before = np.rint(expected * random.lognormal(-0.02, 0.2, (runs, problems, SAMPLES)))
    after = np.rint(keeps * expected * random.lognormal(-0.045, 0.3, (runs, problems, SAMPLES)))
    means = [mean(one) for one in before]
    reductions = [reduction(old, new) for old, new in zip(before, after, strict=True)]
    truth = 200 * exp(spread * spread / 2)
    assert 0.93 <= np.mean([i.low <= truth <= i.high for i in means]) <= 0.97
    assert 0.93 <= np.mean([i.low <= 1 - keeps <= i.high for i in reductions]) <= 0.97


def test_a_mean_of_unequal_samples_has_the_limits_of_cochrans_ratio():
    """The problems enter with 17.5 + (mean - 17.5) · samples / 2, that is 13.75 and 21.25; two are never skewed."""
    low, centre, high = mean([[10], [20, 20, 20]])
    variance = 3.75**2 + 3.75**2 + 1 / 12
    assert (low, centre, high) == pytest.approx((0, 17.5, 17.5 + 12.70620 * sqrt(variance / 2)))


def test_halls_transformation_takes_the_limits_of_a_skewed_mean_to_those_of_students_t():
    counts = np.array([1000, 1000, 2000, 2000, 3000, 9000, 30_000]) + 100_000
    low, centre, high = mean(counts[:, None])
    skewness = ((counts - centre) ** 3).mean() / counts.std() ** 3
    for limit, quantile in ((high, -2.446912), (low, 2.446912)):
        t = (centre - limit) / (counts.std(ddof=1) / sqrt(7))
        straight = t + skewness * t**2 / (3 * sqrt(7)) + skewness**2 * t**3 / (27 * 7) + skewness / (6 * sqrt(7))
        assert straight == pytest.approx(quantile, rel=1e-4)


@pytest.mark.parametrize(
    ("freedom", "quantile"), [(1, 12.70620), (2, 4.302653), (4, 2.776445), (29, 2.045230), (100, 1.983972)]
)
def test_student_has_the_quantiles_of_the_tables(freedom, quantile):
    assert t_quantile(freedom) == pytest.approx(quantile, rel=1e-5)


def test_student_with_confidence_090_has_the_one_sided_quantile_of_095():
    assert t_quantile(29, 0.90) == pytest.approx(1.699127, rel=1e-5)


rights = st.lists(st.lists(st.integers(0, 1), max_size=5), min_size=0, max_size=20)
counts = st.lists(st.lists(st.integers(0, 5000), min_size=1, max_size=4), min_size=2, max_size=20)
pairs = st.lists(
    st.tuples(st.lists(st.integers(0, 1), max_size=4), st.lists(st.integers(0, 1), max_size=4)), max_size=20
)


def known(problems: list) -> int:
    return sum(bool(samples) for samples in problems)


@given(rights)
def test_a_proportion_lies_within_its_limits_and_they_within_0_and_1(problems):
    interval = proportion(problems)
    if known(problems) < 2:
        assert interval is None
    else:
        assert 0 <= interval.low <= interval.centre <= interval.high <= 1
        assert interval.low < interval.high
        assert interval.centre == pytest.approx(np.mean([np.mean(samples) for samples in problems if samples]))


@given(rights, st.randoms())
def test_the_order_of_problems_says_nothing(problems, random):
    shuffled = random.sample(problems, len(problems))
    assert proportion(shuffled) == pytest.approx(proportion(problems), nan_ok=True)


@given(counts)
def test_a_mean_is_that_of_all_samples_and_never_certain(problems):
    interval = mean(problems)
    assert interval.low < interval.centre < interval.high or interval.low == interval.centre == 0 < interval.high
    assert interval.low >= 0
    assert interval.centre == pytest.approx(np.mean(np.concatenate(problems)))


@given(pairs)
def test_a_difference_lies_within_its_limits_and_is_never_certain(both):
    before, after = [old for old, _ in both], [new for _, new in both]
    interval = difference(before, after)
    if sum(bool(old) and bool(new) for old, new in both) < 2:
        assert interval is None
    else:
        assert -1 <= interval.low <= interval.centre <= interval.high <= 1
        assert interval.low < interval.high


@given(pairs)
def test_the_way_back_is_the_way_there_reversed(both):
    before, after = [old for old, _ in both], [new for _, new in both]
    there, back = difference(before, after), difference(after, before)
    if there is not None:
        assert back == pytest.approx((-there.high, -there.centre, -there.low), abs=1e-9)


@given(counts, st.integers(2, 9))
def test_a_reduction_is_a_ratio_whatever_the_unit(problems, factor):
    before = [1000 + 1000 * np.array(samples) for samples in problems]
    after = [400 * np.array(samples[::-1]) for samples in problems]
    one = reduction(before, after)
    scaled = reduction([factor * samples for samples in before], [factor * samples for samples in after])
    for interval in filter(None, (one, scaled)):
        expected = 1 - np.mean([samples.mean() for samples in after]) / np.mean([each.mean() for each in before])
        assert interval.low < interval.high <= 1
        assert interval.low <= interval.centre <= interval.high
        assert interval.centre == pytest.approx(expected)


@pytest.mark.parametrize("right", [0, 1])
def test_a_unanimous_proportion_gets_narrower_with_more_problems_not_with_more_samples(right):
    few, many, sampled = (np.ptp(proportion([[right] * m] * n)) for n, m in [(10, 4), (100, 4), (100, 8)])
    assert few > many > 0
    assert sampled == pytest.approx(many)


@settings(deadline=None)
@given(rights.filter(lambda problems: known(problems) >= 2))
def test_more_of_the_same_problems_narrow_a_proportion(problems):
    assert np.ptp(proportion(problems * 4)[::2]) < np.ptp(proportion(problems)[::2])


def test_equal_token_counts_leave_the_doubt_of_rounding():
    interval = mean([[50, 50]] * 30)
    assert 0.05 < interval.high - interval.low < 0.5
    unchanged = reduction([[50]] * 30, [[25]] * 30)
    assert unchanged.low < 0.5 < unchanged.high
    assert unchanged.high - unchanged.low < 0.02


def test_the_same_completions_twice_leave_some_doubt():
    same = [[1, 0, 1, 0]] * 15 + [[0, 1]] * 15
    interval = difference(same, same)
    assert interval.low < interval.centre == 0 < interval.high


def test_a_reduction_needs_tokens_to_reduce():
    assert reduction([[0], [0]], [[1], [2]]) is None
    assert reduction([[5]], [[1]]) is None


def test_300_problems_without_an_error_still_allow_for_one_in_a_hundred():
    assert 0.98 < proportion([[1] * 4] * 300).low < 0.993
