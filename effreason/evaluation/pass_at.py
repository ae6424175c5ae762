"""pass@k: the chance that at least one of k samples is correct (Chen et al. 2021, arXiv 2107.03374, equation 1)."""

import numpy as np
from numpy.typing import NDArray

from effreason.artifacts import Interval
from effreason.evaluation.intervals import proportion_of_rates


def pass_at(k: int, samples: NDArray[np.int64], right: NDArray[np.int64]) -> Interval | None:
    """Estimate pass@k, the mean over problems of which `right` of `samples` completions are correct.

    Those with fewer than k samples are left out. The other samples of a problem count as at most samples / k
    independent draws. That is too few where all problems are equally easy: the interval is then up to 2.5 times as wide
    as with a draw for each sample, which however covers only 87% where nearly all problems are always solved and a few
    are not (tests/test_pass_at.py has such settings).
    """
    enough = samples >= k
    estimates = estimate(k, samples[enough], right[enough])
    return proportion_of_rates(estimates, float(samples[enough].mean()) / k) if len(estimates) else None


def estimate(k: int, samples: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the unbiased pass@k of each problem; k is at most the least of `samples`.

    1 - C(n - c, k) / C(n, k), the ratio as the product over j < k of (n - c - j) / (n - j), which does not overflow.
    """
    j = np.arange(k)
    wrong = (samples - right)[:, None]
    factors = np.maximum(wrong - j, 0) / (samples[:, None] - j)
    return np.asarray(1.0 - factors.prod(axis=1), dtype=np.float64)
