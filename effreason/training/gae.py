"""Generalised advantage estimation (Schulman et al. 2016, arXiv 1506.02438, equation 16) for one completion, whose
reward comes with its last token:

    delta_t = reward_t + gamma · V_(t+1) - V_t          V is 0 after the last token
    A_t     = delta_t + gamma · lambda · A_(t+1)
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

EPSILON = 1e-8


def gae(values: Floats, reward: float, discount: float, decay: float) -> Floats:
    """Return the advantage of each token, (tokens,), from the value before each; `decay` is lambda."""
    following = np.append(values[1:], 0.0)
    deltas = discount * following - values
    deltas[-1] += reward
    advantages = np.empty_like(values)
    ahead = 0.0
    for place in range(len(values) - 1, -1, -1):
        ahead = deltas[place] + discount * decay * ahead
        advantages[place] = ahead
    return advantages


def whitened(batch: Sequence[Floats]) -> list[Floats]:
    """Return the advantages of all tokens of a batch, shifted and scaled to mean 0 and standard deviation 1."""
    everything = np.concatenate(batch)
    mean, spread = everything.mean(), everything.std() + EPSILON
    return [(advantages - mean) / spread for advantages in batch]
