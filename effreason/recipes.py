"""Whole vetted recipes of training, by name: `[training] preset = "dler"` takes one, other keys change it.

    arora-zanette   leave-one-out advantages whitened over the batch, KL in the reward, two updates per step
    dash            one update a step of a batch that was sampled at once, small advantages left out before the forward
    dler            truncation, batch-normalised advantages, clip-higher
    grpo            group-normalised advantages: the usual baseline, which erases alpha
    ppo             a learned value head and generalised advantage estimation
    sft-shortest    supervised fine-tuning on the shortest correct samples of the starting model

Departures, besides those of the parts: dash keeps the sigmoid penalty, of which its paper has none, and a threshold
relative to alpha; dler lets alpha set the token limit, leaves out dynamic sampling (groups without spread are dropped
from the update but not sampled again), and has 32 × 16 completions per step like its paper's 512.
"""

from collections.abc import Mapping
from typing import Literal

Preset = Literal["arora-zanette", "dash", "dler", "grpo", "ppo", "sft-shortest"]

RECIPES: Mapping[str, Mapping[str, object]] = {
    "arora-zanette": {
        "updates_per_step": 2,
        "learning_rate": 2e-6,
        "kl": {"kind": "reward", "weight": 1e-3},
        "algorithm": {"kind": "policy-gradient", "advantage": {"kind": "leave-one-out"}, "whiten": True},
    },
    "dash": {
        "updates_per_step": 1,
        "learning_rate": 3e-6,
        "filter": {"kind": "alpha", "threshold": 0.1},
        "algorithm": {"kind": "policy-gradient", "advantage": {"kind": "leave-one-out"}},
    },
    "dler": {
        "completions_per_prompt": 16,
        "updates_per_step": 2,
        "learning_rate": 1e-6,
        "penalty": {"kind": "truncation"},
        "kl": {"kind": "loss", "weight": 5e-4},
        "objective": {"kind": "token-clip", "low": 0.2, "high": 0.28},
        "algorithm": {"kind": "policy-gradient", "advantage": {"kind": "batch-normalised"}},
    },
    "grpo": {
        "learning_rate": 1e-6,
        "loss": "grpo",
        "algorithm": {"kind": "policy-gradient", "advantage": {"kind": "group-normalised"}},
    },
    "ppo": {
        "updates_per_step": 2,
        "learning_rate": 2e-6,
        "kl": {"kind": "reward", "weight": 1e-3},
        "algorithm": {"kind": "ppo"},
    },
    "sft-shortest": {
        "learning_rate": 1e-5,
        "algorithm": {"kind": "sft-shortest"},
    },
}
