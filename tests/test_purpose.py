"""What a card says that a policy was trained for: by algorithm, schedule and alpha, and no more than these say."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_training import tiny_spec

from effreason.recipes import RECIPES
from effreason.rewards.schedule import alpha_at
from effreason.shipping.purpose import purpose_of
from effreason.specs import Training, TrainSpec

CONSTRAINED = {"kind": "accuracy-constrained", "free_steps": 2, "rate": 0.1}


def cell(alpha: float, **training: object) -> TrainSpec:
    spec = tiny_spec(alpha=alpha)
    return spec.model_copy(update={"training": Training.model_validate(training)})


@pytest.mark.parametrize("schedule", ["constant", "warmup", "accuracy-constrained"])
@pytest.mark.parametrize("preset", sorted(set(RECIPES) - {"sft-shortest"}))
def test_a_control_claims_neither_a_penalty_nor_fewer_tokens(preset, schedule):
    purpose = purpose_of(cell(0.0, preset=preset, schedule={"kind": schedule}))
    assert "a control" in purpose.aim and "fewer tokens" not in purpose.aim
    assert purpose.penalty == "none (alpha 0)"
    assert "rewarded" not in purpose.caution


@pytest.mark.parametrize("preset", sorted(set(RECIPES) - {"sft-shortest"}))
def test_every_recipe_says_how_it_learns_and_what_it_takes_for_length(preset):
    spec = cell(0.3, preset=preset)
    purpose = purpose_of(spec)
    assert purpose.algorithm.startswith(spec.training.algorithm.kind) and purpose.algorithm in purpose.aim
    assert purpose.penalty == f"{spec.training.penalty.kind}, alpha 0.3"
    assert "fewer tokens" in purpose.aim and "rewarded" in purpose.caution
    assert purpose.tag == "reinforcement-learning"


@given(st.floats(0, 0.9))
def test_supervised_learning_has_no_alpha_no_penalty_and_no_reward(alpha):
    purpose = purpose_of(cell(alpha, preset="sft-shortest"))
    assert purpose == purpose_of(cell(0.0, preset="sft-shortest"))
    assert "shortest" in purpose.aim and purpose.penalty.startswith("none")
    assert not any("alpha" in text or "reward" in text for text in purpose)
    assert purpose.tag == "sft"


@pytest.mark.parametrize(
    ("schedule", "steps", "said"),
    [
        ({"kind": "warmup", "steps": 10}, 100, "rising from 0 to 0.4"),
        ({"kind": "warmup", "steps": 10}, 6, "rising from 0 to 0.2"),  # it ended before the warm-up did
        (CONSTRAINED, 100, "0.4 at most, under a limit of 0.01 on the loss of accuracy"),
        (CONSTRAINED, 5, "0.12 at most"),
    ],
)
def test_a_schedule_claims_no_higher_alpha_than_its_steps_allow(schedule, steps, said):
    assert said in purpose_of(cell(0.4, schedule=schedule, steps=steps)).penalty


@pytest.mark.parametrize(("schedule", "steps"), [({"kind": "warmup"}, 1), (CONSTRAINED, 2)])
def test_a_training_that_ended_before_alpha_left_0_is_a_control(schedule, steps):
    assert "a control" in purpose_of(cell(0.4, schedule=schedule, steps=steps)).aim


@given(st.lists(st.floats(0, 1), min_size=3, max_size=30))
def test_no_accuracies_take_a_constrained_alpha_above_the_one_that_is_told(accuracies):
    spec = cell(0.4, schedule=CONSTRAINED, steps=len(accuracies) + 1)
    told = re.search(r"([\d.]+) at most", purpose_of(spec).penalty)[1]
    assert alpha_at(spec.training.schedule, spec.alpha, accuracies) <= float(told) + 1e-6
