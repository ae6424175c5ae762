"""Random numbers that depend on who asks and not on when: counter-based, as in Salmon et al. (2011, SC '11).

The number for a completion's token is a hash of (seed of the request, index of the completion, position), so a
completion is drawn alike whatever else is in the batch, in whatever order, and after a resume. The hash is splitmix64
(Steele et al. 2014, OOPSLA), in 64-bit integers that wrap around.
"""

import torch

GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15, as a signed number
FIRST = -4658895280553007687  # 0xBF58476D1CE4E5B9
SECOND = -7723592293110705685  # 0x94D049BB133111EB


def keys(seeds: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
    """Return a key for each completion; all tensors are (rows,), int64."""
    return _mixed(_mixed(seeds * GOLDEN) + indices * GOLDEN)


def uniforms(keys: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Return numbers in [0, 1) for tokens at `positions`: (rows,), float64 with 53 random bits."""
    return _shifted(_mixed(keys + positions * GOLDEN), 11).double() * 2.0**-53


def _mixed(state: torch.Tensor) -> torch.Tensor:
    state = (state ^ _shifted(state, 30)) * FIRST
    state = (state ^ _shifted(state, 27)) * SECOND
    return state ^ _shifted(state, 31)


def _shifted(state: torch.Tensor, bits: int) -> torch.Tensor:
    """Shift to the right logically, where torch's own shift repeats the sign."""
    return (state >> bits) & ((1 << (64 - bits)) - 1)
