"""The plan: the order of the steps, and estimates that move the right way."""

from effreason.choices import BuiltInModel, HubModel, Lora
from effreason.experiment import Experiment
from effreason.planning import CPU, GPU, plan, steps
from effreason.specs import Training


def experiment(**changes):
    return Experiment(**{"name": "x", "models": (BuiltInModel(),), "alphas": (0.0, 0.2), **changes})


def nothing(address):
    return None


def cost_of_training(**training):
    asked = experiment(
        models=(HubModel(name="m", id="meta-llama/Llama-3.1-8B-Instruct"),), training=Training(**training)
    )
    return next(step.cost for step in plan(asked, nothing, GPU) if step.spec.step == "train")


def test_every_step_comes_after_what_it_builds_on():
    seen = set()
    for _, spec in steps(experiment(alphas=(0, 0.1, 0.2), seeds=(0, 1))):
        text = spec.model_dump_json()
        upstream = {
            word
            for word in text.replace('"', " ").split()
            if "/" in word and word.split("/")[0] in {"prepare", "train", "evaluate"}
        }
        assert upstream <= seen
        seen.add(spec.address)


def test_more_steps_generate_more_tokens_and_take_longer():
    one, two = cost_of_training(steps=10), cost_of_training(steps=20)
    assert two.tokens == 2 * one.tokens
    assert two.seconds > one.seconds


def test_adapters_need_less_memory_than_all_weights():
    assert cost_of_training(weights=Lora()).memory < cost_of_training().memory / 2


def test_eight_billion_parameters_trained_in_full_need_more_than_a_hundred_gigabytes():
    assert cost_of_training().memory > 8_030_261_248 * 16


def test_an_unknown_model_has_no_estimate_of_memory_or_time():
    planned = plan(experiment(models=(HubModel(name="m", id="some/thing"),)), nothing, CPU)
    trained = next(step.cost for step in planned if step.spec.step == "train")
    assert trained.memory is None and trained.seconds is None and trained.tokens > 0
