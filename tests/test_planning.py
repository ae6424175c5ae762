"""The plan: the order of the steps, estimates that move the right way, and what to change when they do not fit."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from effreason.catalogue import ON_THE_HUB
from effreason.choices import (
    BuiltInModel,
    FullWeights,
    HubModel,
    KlInLoss,
    KlInReward,
    Lora,
    NoKl,
    Qlora,
    Vllm,
    VllmServer,
)
from effreason.errors import UserError
from effreason.experiment import Experiment, Resources
from effreason.experiment_file import SHIPPED, load
from effreason.planning import CPU, GPUS, chosen, keeps_reference, plan, remedies, steps
from effreason.planning import memory as formulas
from effreason.planning.devices import GIB, read_answer
from effreason.planning.duration import decoding_seconds, passes
from effreason.planning.phases import evaluation_memory, training_memory
from effreason.planning.table import catalogue_table
from effreason.specs import Training

LLAMA_8B = ON_THE_HUB["meta-llama/Llama-3.1-8B-Instruct"]
H100 = GPUS["h100-80"]
ASKED = formulas.Sampling(completions=256, prompts=32, prompt_tokens=256, max_tokens=1024)


def experiment(**changes):
    return Experiment(**{"name": "x", "models": (BuiltInModel(),), "alphas": (0.0, 0.2), **changes})


def nothing(address):
    return None


def cost_of_training(device=H100, **training):
    asked = experiment(
        models=(HubModel(name="m", id="meta-llama/Llama-3.1-8B-Instruct"),), training=Training(**training)
    )
    return next(step.cost for step in plan(asked, nothing, device) if step.spec.step == "train")


def peak(device=H100, resources=Resources(), **training):
    return training_memory(LLAMA_8B, Training(**training), ASKED, device, resources).peak


# ------------------------------------------------------------------------------------------- order and tokens


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
    lora = {"weights": Lora(), "gradient_checkpointing": True}
    one, two = cost_of_training(steps=10, **lora), cost_of_training(steps=20, **lora)
    assert two.tokens == 2 * one.tokens
    assert two.seconds > one.seconds


def test_an_unknown_model_has_no_estimate_of_memory_or_time():
    planned = plan(experiment(models=(HubModel(name="m", id="some/thing"),)), nothing, CPU)
    trained = next(step.cost for step in planned if step.spec.step == "train")
    assert trained.memory is None and trained.seconds is None and trained.tokens > 0


def test_a_step_that_does_not_fit_has_no_time():
    assert cost_of_training(weights=FullWeights()).seconds is None


# ------------------------------------------------------------------------------------------- memory, its laws


def test_eight_billion_parameters_trained_in_full_need_more_than_a_hundred_gigabytes():
    assert peak() > 8_030_261_248 * 16


def test_each_lighter_choice_of_weights_needs_less():
    full, lora, qlora = (peak(gradient_checkpointing=True, weights=one) for one in (FullWeights(), Lora(), Qlora()))
    assert full > 2 * lora > 2 * qlora


def test_four_bits_hold_a_linear_weight_in_little_more_than_half_a_byte():
    held = formulas.weight_bytes(LLAMA_8B, Qlora(), half=True)
    rest = LLAMA_8B.parameters - LLAMA_8B.linear_parameters
    assert 0.5 < (held - 4 * rest) / LLAMA_8B.linear_parameters < 0.56


@pytest.mark.parametrize(
    ("change", "smaller"),
    [
        ({"gradient_checkpointing": True}, {}),
        ({"tokens_per_microbatch": 8192}, {"tokens_per_microbatch": 16_384}),
        ({"overlap": False}, {"overlap": True}),
        ({"kl": NoKl()}, {"kl": KlInLoss()}),
    ],
)
def test_a_gentler_training_needs_less(change, smaller):
    assert peak(GPUS["h200-141"], **change) < peak(GPUS["h200-141"], **smaller)


def test_the_peak_is_that_of_the_fuller_phase_and_with_overlap_of_both():
    lora = {"weights": Lora(), "gradient_checkpointing": True}
    apart = training_memory(LLAMA_8B, Training(**lora), ASKED, H100)
    assert apart.peak == max(phase.bytes for phase in apart.phases)
    assert {phase.name for phase in apart.phases} == {"generate", "update"}
    together = training_memory(LLAMA_8B, Training(overlap=True, **lora), ASKED, H100)
    assert len(together.phases) == 1


def test_keys_and_values_shrink_until_a_generation_fits():
    rows = [training_memory(LLAMA_8B, Training(weights=Lora()), ASKED, gpu).rows for gpu in GPUS.values()]
    assert rows == sorted(rows) and rows[0] < rows[-1]


def test_an_engine_beside_the_trainer_takes_a_copy_of_the_weights_and_its_cache_in_every_phase():
    lora = {"weights": Lora()}
    beside, away = Training(engine=Vllm(cache_gib=8), **lora), Training(engine=VllmServer(folder="/shared"), **lora)
    here, elsewhere = (training_memory(LLAMA_8B, training, ASKED, H100) for training in (beside, away))
    for with_engine, without in zip(here.phases, elsewhere.phases, strict=True):
        assert with_engine.used - without.used >= 2 * LLAMA_8B.parameters + 8 * GIB
    halved = training_memory(LLAMA_8B, Training(engine=Vllm(cache_gib=8, tensor_parallel=2), **lora), ASKED, H100)
    assert here.peak - halved.peak == pytest.approx(1.05 * LLAMA_8B.parameters)
    assert evaluation_memory(LLAMA_8B, ASKED, H100, Vllm(cache_gib=8)).peak > 2 * LLAMA_8B.parameters + 8 * GIB


def test_a_reference_is_kept_for_kl_where_adapters_cannot_be_switched_off():
    for kl in (KlInLoss(), KlInReward()):
        assert keeps_reference(Training(kl=kl))
        assert not keeps_reference(Training(kl=kl, weights=Lora()))
    assert not keeps_reference(Training())


def test_several_processes_share_what_their_sharding_shares():
    whole = peak(H100)
    zero2 = peak(H100, Resources(processes=8, sharding="zero2"))
    fsdp = peak(H100, Resources(processes=8, sharding="fsdp"))
    assert whole > zero2 > fsdp


# ----------------------------------------------------------------------------------------------------- remedies


def test_remedies_name_the_gentlest_change_first_and_what_it_would_need():
    found = remedies(LLAMA_8B, Training(), ASKED, H100)
    assert found[0].change == "gradient_checkpointing = true"
    assert found[-1].fits and found[-1].memory <= H100.memory
    assert found[-1].change.endswith('weights = { kind = "lora" }')


def test_where_no_change_is_enough_by_itself_the_gentlest_combination_is_named():
    found = remedies(ON_THE_HUB["microsoft/phi-4"], Training(weights=Lora()), ASKED, GPUS["rtx-4090"])
    assert not any(each.fits for each in found[:-1])
    assert found[-1].fits and "weights" in found[-1].change and "," in found[-1].change


def test_no_remedy_is_named_that_does_not_help():
    found = remedies(LLAMA_8B, Training(gradient_checkpointing=True), ASKED, GPUS["l4-24"])
    assert all(each.memory < peak(GPUS["l4-24"], gradient_checkpointing=True) for each in found)


# -------------------------------------------------------------------------------------------- devices and time


def test_a_gpu_is_found_by_what_its_driver_calls_it():
    known = {
        "NVIDIA H100 80GB HBM3, 81559": "h100-80",
        "NVIDIA A100-SXM4-40GB, 40960": "a100-40",
        "NVIDIA GeForce RTX 4090, 24564": "rtx-4090",
        "NVIDIA L40S, 46068": "l40s-48",
        "NVIDIA H200, 143771": "h200-141",
    }
    for answer, name in known.items():
        device = read_answer(answer + "\nNVIDIA L4, 23034\n")
        assert device.bytes_per_second == GPUS[name].bytes_per_second
        assert device.memory == int(answer.split(", ")[1]) << 20
    assert read_answer("NVIDIA Unheard-of 9000, 32768").memory == 32 * GIB
    assert read_answer("No devices were found") is None


def test_a_gpu_is_chosen_by_name_or_by_memory():
    assert chosen("h100-80", None) is GPUS["h100-80"]
    assert chosen("h100-80", 40).memory == 40 * GIB
    assert chosen(None, 12).memory == 12 * GIB
    with pytest.raises(UserError, match="Did you mean h100-80"):
        chosen("h100", None)


def test_decoding_takes_as_long_as_reading_the_weights_or_starting_the_operators():
    weights = 2 * LLAMA_8B.parameters

    def a_token_of_a_row(device):
        return decoding_seconds(LLAMA_8B, 1, 1, 0, weights, 2, device) - device.seconds_per_token / 2

    slow = replace(H100, bytes_per_second=1e11)
    assert a_token_of_a_row(slow) == pytest.approx(weights / 1e11, rel=0.01)
    assert a_token_of_a_row(replace(H100, seconds_per_layer=0.01)) == pytest.approx(0.32)


def test_an_update_counts_six_operations_and_those_of_every_further_pass():
    assert passes(Training()) == 6
    assert passes(Training(weights=Lora(), gradient_checkpointing=True)) == 6
    assert passes(Training(kl=KlInReward(), updates_per_step=2, prompts_per_step=32)) == 11


# --------------------------------------------------------------------------------------- the shipped experiments


@pytest.mark.parametrize("name", ["mistral-7b", "phi-4", "llama-3.1-8b", "llama-3.2-1b", "llama-3.2-3b", "full"])
def test_a_shipped_experiment_fits_one_gpu_of_80_gigabytes(name):
    asked = load(name)
    assert asked.alphas == (0, 0.05, 0.1, 0.2, 0.4)
    assert (asked.training.steps, asked.training.completions_per_step) == (100, 256)
    assert all(step.cost.memory.peak <= H100.memory for step in plan(asked, nothing, H100))


def test_the_full_experiment_has_every_model_that_has_one_of_its_own():
    alone = [load(name).models[0] for name in ("mistral-7b", "phi-4", "llama-3.1-8b", "llama-3.2-1b", "llama-3.2-3b")]
    assert list(load("full").models) == alone


# ---------------------------------------------------------------------------------------------- the command line


def run_plan(tmp_path, *arguments):
    command = [sys.executable, "-m", "effreason", "plan", *arguments]
    offline = {**os.environ, "HF_HUB_OFFLINE": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path, env=offline)


def test_the_full_experiment_is_planned_where_the_hub_cannot_be_reached(tmp_path):
    done = run_plan(tmp_path, "full", "--gpu", "h100-80")
    assert done.returncode == 0, done.stderr
    assert "cannot be reached" in done.stderr
    assert "on h100-80" in done.stdout and "?" not in done.stdout


def test_what_does_not_fit_is_refused_after_saying_what_to_change(tmp_path):
    done = run_plan(tmp_path, "llama-3.2-3b", "--memory-gib", "24")
    assert done.returncode == 2
    assert 'weights = { kind = "lora" }' in done.stdout and ", fits" in done.stdout
    assert "does not fit 24.0 GiB" in done.stderr and "Traceback" not in done.stderr


def test_a_model_that_was_never_released_is_refused_without_asking_the_hub(tmp_path):
    text = (SHIPPED / "llama-3.2-3b.toml").read_text().replace('Llama-3.2-3B-Instruct"', 'Llama-3.2-7B-Instruct"')
    (tmp_path / "x.toml").write_text(text)
    done = run_plan(tmp_path, "x.toml")
    assert done.returncode == 2 and "never released" in done.stderr


def test_an_id_that_is_not_catalogued_is_answered_with_the_nearest(tmp_path):
    text = (SHIPPED / "mistral-7b.toml").read_text().replace("Instruct-v0.3", "Instruct-v0.9", 2)
    (tmp_path / "x.toml").write_text(text)
    done = run_plan(tmp_path, "x.toml", "--gpu", "h100-80")
    assert done.returncode == 0, done.stderr
    assert "did you mean mistralai/Mistral-7B-Instruct-v0.3?" in done.stdout


def test_the_table_in_the_documentation_is_what_the_code_says():
    assert "\n".join(catalogue_table()) in (Path(__file__).parent.parent / "docs" / "memory.md").read_text()
