"""The engine that samples beside the trainer that learns: gaps, limits, and faults that were planted."""

import copy
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from peft import PeftModel
from tiny_training import Run, metrics_of, questions, tiny_model, tiny_spec, tiny_tokenizer, weights_of
from transformers import PreTrainedModel

from effreason.choices import Agreement, FullWeights, Lora, Ppo
from effreason.errors import StepFailure
from effreason.generation import Limits, OnCompletion, Request
from effreason.generation.sampler import Sampler
from effreason.records import Completion, Judgement, Verdict
from effreason.training.agreement import Gap, Tolerance, alarm, compared, gap, joined, refuse_disagreement, tolerance_of
from effreason.training.following import Following, plain_weights
from effreason.training.rollouts import Rollout
from effreason.training.weights import trainable

VLLM = {"kind": "vllm"}


class Copied:
    """An engine with a copy of the weights, which stays on this side of vLLM."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = copy.deepcopy(model).requires_grad_(False)
        self.sampler = Sampler(self.model, tiny_tokenizer(), scored=True)

    def generate(
        self, requests: Sequence[Request], limits: Limits, on_completion: OnCompletion | None = None
    ) -> list[list[Completion]]:
        return self.sampler.generate(requests, limits, on_completion)

    def load(self, weights: Iterable[tuple[str, torch.Tensor]]) -> None:
        held = dict(self.model.named_parameters())
        for name, weight in weights:
            held[name].copy_(weight)


class Stale(Copied):
    """The fault: it takes weights and goes on with those that it has."""

    def load(self, weights: Iterable[tuple[str, torch.Tensor]]) -> None:
        pass


class Coarse(Copied):
    """The fault of a bad cast: most of the mantissa is lost on the way."""

    def load(self, weights: Iterable[tuple[str, torch.Tensor]]) -> None:
        super().load((name, (weight * 4).round() / 4) for name, weight in weights)


def run_with(engine: type[Copied], folder: Path, **changes: object) -> Run:
    folder.mkdir(exist_ok=True)
    run = Run(folder, tiny_spec(engine=VLLM, **changes))
    run.collector = replace(run.collector, generator=Following(run.model, engine(tiny_model())))
    return run


def rollout(place: int, scores: tuple[float, ...] | None) -> Rollout:
    completion = Completion("", (2,) * 3, False, scores)
    return Rollout(questions()[0], place, 0, completion, Judgement(Verdict.RIGHT, "1"), 1.0, 0.0)


@given(st.integers(0, 40), st.integers(1, 12))
def test_at_most_so_many_completions_are_compared_from_all_over_the_step(count, sequences):
    rollouts = [rollout(place, (-1.0,) * 3) for place in range(count)]
    chosen = compared(rollouts, sequences)
    assert len(chosen) <= sequences
    assert bool(chosen) == bool(rollouts)
    assert not chosen or chosen[-1].group >= count // 2 or sequences == 1 or count < 3


def test_completions_without_log_probabilities_are_not_compared():
    assert compared([rollout(0, None), rollout(1, None)], 8) == []


def test_the_gap_is_the_mean_over_tokens_of_the_absolute_difference():
    trainer, engine = torch.tensor([[-1.0, -2.0], [-3.0, -50.0]]), torch.tensor([[-1.5, -1.0], [-3.0, 0.0]])
    found = gap(trainer, engine, torch.tensor([[1, 1], [1, 0]]))
    assert (found.mean_nats, found.most_nats, found.tokens) == (0.5, 1.0, 3)
    assert joined([found, Gap(0.0, 0.0, 3)]) == Gap(1.5, 1.0, 6)


def test_an_alarm_sounds_beyond_the_soft_limit_and_the_hard_one_stops():
    tolerance = Tolerance(alarm_nats=0.01, stop_nats=0.1)
    assert alarm(0.01, tolerance) is None
    assert alarm(None, tolerance) is None
    assert "0.05 nats" in str(alarm(0.05, tolerance))
    refuse_disagreement(Gap(0.1, 0.1, 1), tolerance, 3)
    for wrong in (0.2, float("nan")):
        with pytest.raises(StepFailure, match="step 3 were not drawn from the weights"):
            refuse_disagreement(Gap(wrong, wrong, 1), tolerance, 3)


def test_limits_are_finer_where_rounding_is_and_those_that_are_named_hold():
    plain, named = tiny_spec().training, tiny_spec(agreement={"stop_nats": 0.3}).training
    coarse = tiny_spec(precision="bfloat16").training
    assert (
        tolerance_of(plain, "cpu").stop_nats
        < tolerance_of(coarse, "cpu").stop_nats
        == tolerance_of(plain, "cuda").stop_nats
    )
    assert tolerance_of(named, "cpu") == Tolerance(tolerance_of(plain, "cpu").alarm_nats, 0.3)


@given(st.sampled_from(["alarm_nats", "stop_nats"]), st.floats(1e-6, 10), st.sampled_from(["cpu", "cuda"]))
def test_a_limit_that_is_named_alone_holds_and_the_alarm_is_not_beyond_the_stop(name, nats, device):
    tolerance = tolerance_of(tiny_spec(agreement={name: nats}).training, device)
    assert getattr(tolerance, name) == nats
    assert tolerance.alarm_nats <= tolerance.stop_nats


def test_the_alarm_cannot_be_beyond_the_stop():
    with pytest.raises(ValueError, match="alarm_nats"):
        Agreement(alarm_nats=0.2, stop_nats=0.1)


def test_our_own_sampler_and_the_trainer_agree_at_every_step(tmp_path):
    for line in metrics_of(Run(tmp_path, tiny_spec())(), tmp_path / "kept"):
        assert line["logprob_gap"] < 1e-5
        assert line["importance_weight"] is None


@pytest.mark.parametrize("changes", [{}, {"updates_per_step": 2}, {"algorithm": Ppo()}], ids=str)
def test_an_engine_that_follows_trains_as_our_own_sampler_does(tmp_path, changes):
    ours = Run(tmp_path, tiny_spec(**changes))
    ours()
    theirs = run_with(Copied, tmp_path / "theirs", **changes)
    for line in metrics_of(theirs(), tmp_path / "kept"):
        assert line["logprob_gap"] < 1e-5
        assert line["importance_weight"] == pytest.approx(1, abs=1e-4)
        assert line["importance_truncated"] == 0
    torch.testing.assert_close(weights_of(theirs.model), weights_of(ours.model), rtol=0, atol=1e-4)


def test_an_engine_with_old_weights_stops_the_training(tmp_path):
    with pytest.raises(StepFailure, match="were not drawn from the weights being trained") as failure:
        run_with(Stale, tmp_path / "stale", steps=10)()
    assert "step 1 " not in failure.value.happened  # at first it has the right ones


def test_an_engine_whose_weights_lose_their_precision_stops_the_training_at_once(tmp_path):
    with pytest.raises(StepFailure, match="completions of step 1 "):
        run_with(Coarse, tmp_path / "coarse")()


def test_between_the_limits_the_training_goes_on_and_says_so(tmp_path):
    run = run_with(Stale, tmp_path / "stale", agreement={"alarm_nats": 1e-4, "stop_nats": 100})
    run()
    assert run.told[0].alarm is None
    assert "weights may be stale" in str(run.told[-1].alarm)


@pytest.mark.parametrize("weights", [FullWeights(), Lora(rank=2, scale=4)], ids=lambda weights: weights.kind)
def test_an_engine_is_given_the_model_as_it_would_be_saved_and_the_model_stays_as_it_is(weights):
    model = trainable(tiny_model(), weights, 0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1)
    before = weights_of(model)
    given_over = {name: weight.clone() for name, weight in plain_weights(model)}
    assert torch.equal(weights_of(model), before)
    saved = dict((model.merge_and_unload() if isinstance(model, PeftModel) else model).named_parameters())
    assert given_over.keys() == saved.keys()
    for name, weight in saved.items():
        torch.testing.assert_close(given_over[name], weight)
