import numpy as np
import pytest

from effreason.evaluation import resampling
from effreason.evaluation.intervals import proportion_of_rates, t_quantile
from effreason.evaluation.resampling import Sample, Weighed, resampled

SAMPLES = 8


def price(of: Weighed) -> np.ndarray:
    return of.mean(of["tokens"]) / of.mean(of["right"])


def solved_and_spent(random: np.random.Generator, problems: int, rate: float, alike: float) -> Sample:
    """Harder problems take more tokens."""
    spread = (1 - alike) / alike
    chance = random.beta(rate * spread, (1 - rate) * spread, (problems, 1))
    right = (random.random((problems, SAMPLES)) < chance).mean(axis=1)
    tokens = np.rint(200 * (2 - chance) * random.lognormal(0, 0.4, (problems, SAMPLES))).mean(axis=1)
    return Sample({"tokens": tokens}, {"right": right}, {}, SAMPLES)


@pytest.mark.parametrize(("problems", "rate"), [(30, 0.3), (30, 0.9), (100, 0.6), (100, 0.98)])
def test_a_ratio_is_covered_19_times_in_20(problems, rate, monkeypatch):
    monkeypatch.setattr(resampling, "DRAWS", 600)
    random, runs = np.random.default_rng(4), 600
    everything = solved_and_spent(random, 400_000, rate, 0.2).columns
    truth = everything["tokens"].mean() / everything["right"].mean()
    intervals = [resampled(solved_and_spent(random, problems, rate, 0.2), price) for _ in range(runs)]
    error = 2 * (0.05 * 0.95 / runs) ** 0.5
    assert 0.93 - error <= np.mean([i.low <= truth <= i.high for i in intervals]) <= 0.97 + error


@pytest.mark.parametrize("problems", [12, 40])
def test_a_mean_of_tokens_has_the_limits_of_students_t(problems, monkeypatch):
    monkeypatch.setattr(resampling, "DRAWS", 20_000)
    tokens = np.random.default_rng(0).normal(500, 40, problems)
    low, centre, high = resampled(Sample({"tokens": tokens}, {}, {}, 1), lambda of: of.mean(of["tokens"]))
    half = t_quantile(problems - 1) * tokens.std(ddof=1) / problems**0.5
    assert centre == pytest.approx(tokens.mean(), abs=1e-9)
    assert (centre - low, high - centre) == pytest.approx((half, half), rel=0.08)
    assert (high - low) / 2 == pytest.approx(half, rel=0.03)


def test_a_rate_has_about_the_limits_of_its_formula():
    rates = np.random.default_rng(0).binomial(SAMPLES, 0.8, 200) / SAMPLES
    interval = resampled(Sample({}, {"right": rates}, {}, SAMPLES), lambda of: of.mean(of["right"]))
    assert interval == pytest.approx(proportion_of_rates(rates, SAMPLES), abs=0.006)


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_unanimity_is_not_certainty(rate):
    sample = Sample({}, {"right": np.full(50, rate)}, {}, SAMPLES)
    low, centre, high = resampled(sample, lambda of: of.mean(of["right"]))
    assert low <= centre == rate <= high and 0.001 < high - low < 0.1


def test_equal_counts_leave_the_doubt_of_rounding():
    sample = Sample({"tokens": np.full(50, 80.0)}, {}, {}, SAMPLES)
    low, centre, high = resampled(sample, lambda of: of.mean(of["tokens"]))
    assert centre == pytest.approx(80)
    assert low < centre < high and 0.05 < high - low < 0.5


def test_what_is_undefined_or_of_one_problem_is_none():
    never = Sample({"tokens": np.array([5.0, 6.0])}, {"right": np.zeros(2)}, {}, SAMPLES)
    assert resampled(never, price) is None
    assert resampled(Sample({"tokens": np.array([5.0])}, {"right": np.ones(1)}, {}, SAMPLES), price) is None
