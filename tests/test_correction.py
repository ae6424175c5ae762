"""Truncated importance sampling: the arithmetic, and what it does to a training."""

from math import exp

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from effreason.choices import NoCorrection, SequenceTruncated, SftShortest, TokenTruncated, Vllm
from effreason.specs import Training
from effreason.training.correction import corrected, correction_of, weights

BOTH = [TokenTruncated(), SequenceTruncated()]
FOLLOWED = Training(engine=Vllm())

log_probabilities = st.lists(st.floats(-8, 0), min_size=4, max_size=4).map(lambda line: torch.tensor([line]))
masks = st.integers(1, 4).map(lambda tokens: torch.tensor([[1] * tokens + [0] * (4 - tokens)]))


@pytest.mark.parametrize("correction", BOTH)
@given(same=log_probabilities, mask=masks)
def test_where_engine_and_trainer_agree_nothing_is_changed(correction, same, mask):
    assert torch.equal(weights(correction, same, same, mask), torch.ones(1, 4))


@pytest.mark.parametrize("correction", BOTH)
@given(trainer=log_probabilities, engine=log_probabilities, mask=masks)
def test_a_weight_is_never_negative_nor_above_the_cap(correction, trainer, engine, mask):
    found = weights(correction, trainer, engine, mask)
    assert (found >= 0).all()
    assert (found <= correction.cap).all()


@given(trainer=log_probabilities, engine=log_probabilities, mask=masks)
def test_below_the_cap_a_completions_weight_is_the_product_of_its_tokens(trainer, engine, mask):
    tokens = weights(TokenTruncated(cap=1e9), trainer, engine, mask)
    whole = weights(SequenceTruncated(cap=1e30), trainer, engine, mask)
    assert whole[0, 0].item() == pytest.approx(tokens.prod().item(), rel=1e-4)
    assert torch.equal(whole, whole[:, :1].expand(1, 4))


def test_a_token_that_the_trainer_finds_likelier_counts_for_more():
    trainer, engine = torch.tensor([[-1.0, -2.0, -1.0]]), torch.tensor([[-1.5, -1.5, -9.0]])
    found = weights(TokenTruncated(), trainer, engine, torch.tensor([[1, 1, 1]]))
    assert found.tolist() == [pytest.approx([exp(0.5), exp(-0.5), 2.0])]


@pytest.mark.parametrize("advantages", [torch.tensor([3.0, -2.0]), torch.tensor([[3.0] * 2, [-2.0] * 2])])
def test_weights_multiply_the_advantages_of_tokens(advantages):
    micro_batch = {
        "advantages": advantages,
        "completion_mask": torch.tensor([[1, 1], [1, 0]]),
        "old_per_token_logps": torch.tensor([[-1.0, -1.0], [-1.0, 0.0]]),
        "engine_log_probabilities": torch.tensor([[-1.0, -5.0], [-0.5, 0.0]]),
    }
    weighed = corrected(micro_batch, TokenTruncated())
    assert micro_batch["advantages"].tolist() == [[3.0, 6.0], pytest.approx([-2.0 * exp(-0.5), -2.0])]
    assert weighed.total == pytest.approx(1 + 2 + exp(-0.5))
    assert (weighed.truncated, weighed.tokens) == (1, 3)


def test_only_completions_of_another_engine_are_corrected_and_only_in_a_policy_gradient():
    assert correction_of(FOLLOWED) == TokenTruncated()
    assert correction_of(Training()) is None
    assert correction_of(FOLLOWED.model_copy(update={"correction": NoCorrection()})) is None
    assert correction_of(FOLLOWED.model_copy(update={"algorithm": SftShortest()})) is None
