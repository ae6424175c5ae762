"""Trainings whose completions vLLM draws. Needs the environment of `make vllm`; `make test-vllm` runs them."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
from vllm_rounding import IN_FLOAT32, MEAN_NATS

from effreason.choices import BuiltInModel, ChainSumSource, FolderHome, Prompt
from effreason.errors import StepFailure
from effreason.specs import PrepareSpec, Suite, Training, TrainSpec
from effreason.steps import produce
from effreason.store import Store, open_store
from effreason.workbench import Runtime

pytestmark = [
    pytest.mark.skipif(find_spec("vllm") is None, reason="needs vLLM: make vllm, then make test-vllm"),
    pytest.mark.slow,
]

SOURCE = ChainSumSource()
PREPARE = PrepareSpec(
    source=SOURCE,
    train_problems=40,
    validation_problems=0,
    suites=(Suite(name="sums", source=SOURCE, problems=4),),
    seed=0,
)
SETTINGS = {
    "steps": 3,
    "prompts_per_step": 8,
    "completions_per_prompt": 4,
    "learning_rate": 1e-3,
    "warmup_steps": 1,
    "max_tokens": 200,
    "engine": {"kind": "vllm", "cache_gib": 0.25, "rows": 64},
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = open_store(FolderHome(path=str(tmp_path / "store")))
    produce(PREPARE, made)
    return made


def trained(store: Store, folder: Path, **changes: object) -> list[dict[str, float]]:
    """The metrics of a training of the built-in reasoner."""
    spec = TrainSpec(
        model=BuiltInModel(),
        problems=PREPARE.address,
        prompt=Prompt(),
        training=Training.model_validate(SETTINGS | changes),
        alpha=0.2,
        seed=0,
    )
    manifest = produce(spec, store, Runtime(threads=1, device="cpu" if IN_FLOAT32 else "auto"))
    kept = store.fetch(manifest, folder / "kept", ["metrics.jsonl"])
    return [json.loads(line) for line in (kept / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"weights": {"kind": "lora", "rank": 8, "scale": 16}},
        {"updates_per_step": 2, "correction": {"kind": "sequence-truncated"}},
    ],
    ids=["full", "lora", "several-updates"],
)
def test_at_every_step_vllm_samples_from_the_weights_that_are_trained(store, tmp_path, changes):
    lines = trained(store, tmp_path, **changes)
    assert len(lines) == 3
    for line in lines:
        assert line["logprob_gap"] < MEAN_NATS
        assert line["importance_weight"] == pytest.approx(1, abs=1e-3 if IN_FLOAT32 else 0.05)
        assert line["grad_norm"] > 0


def test_vllm_with_old_weights_stops_the_training(store, tmp_path, monkeypatch):
    from effreason.generation.vllm_engine import VllmGenerator

    monkeypatch.setattr(VllmGenerator, "load", lambda engine, weights: None)
    with pytest.raises(StepFailure, match="were not drawn from the weights being trained"):
        trained(store, tmp_path, agreement={"stop_nats": 0.005 if IN_FLOAT32 else 0.015})


def test_supervised_learning_takes_what_vllm_draws_from_the_starting_model(store, tmp_path):
    lines = trained(store, tmp_path, algorithm={"kind": "sft-shortest"})
    assert [line["logprob_gap"] for line in lines] == [None] * 3
