"""What a user asks for, and the fingerprints that follow from it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from effreason.choices import BuiltInModel, FileSource, FolderModel
from effreason.experiment import Data, Experiment
from effreason.specs import Protocol, Suite, Training


def experiment(**changes):
    return Experiment(**{"name": "x", "models": (BuiltInModel(),), "alphas": (0.0, 0.2), **changes})


def test_the_same_request_has_the_same_address():
    assert experiment().prepare_spec().address == experiment().prepare_spec().address


@given(st.integers(1, 10_000))
def test_a_change_of_a_setting_changes_only_what_depends_on_it(steps):
    one, other = experiment(), experiment(training=Training(steps=steps))
    assert one.prepare_spec() == other.prepare_spec()
    key = next(one.cells())
    problems = one.prepare_spec().address
    same = one.train_spec(key, problems).address == other.train_spec(key, problems).address
    assert same == (steps == one.training.steps)
    assert one.evaluate_spec(BuiltInModel(), None, problems) == other.evaluate_spec(BuiltInModel(), None, problems)


def test_an_ancestor_changes_every_descendant():
    one, other = experiment(), experiment(data=Data(seed=1))
    key = next(one.cells())
    assert one.train_spec(key, one.prepare_spec().address) != other.train_spec(key, other.prepare_spec().address)


def test_where_a_model_or_a_file_lies_is_not_what_it_is():
    digest = "a" * 64
    here, there = (FolderModel(name="m", path=path, digest=digest) for path in ("/here", "/there"))
    assert here.fingerprint == there.fingerprint
    assert (
        FileSource(path="a.jsonl", digest=digest).fingerprint == FileSource(path="b.jsonl", digest=digest).fingerprint
    )
    assert (
        FileSource(path="a.jsonl", digest="b" * 64).fingerprint != FileSource(path="a.jsonl", digest=digest).fingerprint
    )


@pytest.mark.parametrize("alpha", [-0.1, 1.0, 2.0])
def test_alpha_outside_its_range_is_refused_with_the_reason(alpha):
    with pytest.raises(ValidationError, match=r"outside \[0, 1\)"):
        experiment(alphas=(alpha,))


def test_the_range_of_alpha_is_that_of_the_penalty():
    penalties = [{"kind": "min-max"}, {"kind": "solve-rate"}]
    min_max, solve_rate = (Training.model_validate({"penalty": penalty}) for penalty in penalties)
    assert experiment(training=min_max, alphas=(1.5,)).alphas == (1.5,)
    assert experiment(training=solve_rate, alphas=(20.0,)).alphas == (20.0,)
    with pytest.raises(ValidationError, match=r"outside \[0, 2\), the range of the min-max penalty"):
        experiment(training=min_max, alphas=(2.0,))
    cell = next(experiment(training=min_max, alphas=(1.5,)).cells())
    problems = "prepare/" + "0" * 24
    with pytest.raises(ValidationError, match=r"outside \[0, 2\)"):
        experiment(training=min_max).train_spec(cell._replace(alpha=2.0), problems)


@pytest.mark.parametrize(
    "changes",
    [
        {"alphas": (0.1, 0.1)},
        {"alphas": (0.1, 0.1 + 1e-9)},
        {"seeds": (1, 1)},
        {"models": (BuiltInModel(), BuiltInModel())},
        {"data": Data(suites=(Suite(name="a", source={"kind": "math500"}), Suite(name="a", source={"kind": "gsm8k"})))},
    ],
)
def test_nothing_can_be_asked_for_twice(changes):
    with pytest.raises(ValidationError, match="same entry twice"):
        experiment(**changes)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"seeds": (-1,)}, "greater than or equal to 0"),
        ({"seeds": (2**32,)}, "less than or equal to"),
        ({"data": {"prompt": {"template": "Sum it."}}}, "no {question}"),
        (
            {"data": {"source": {"kind": "chain-sum", "min_terms": 9, "max_terms": 3}}},
            "min_terms 9 is above max_terms 3",
        ),
        ({"data": {"train_problems": 10**23}}, "less than or equal to"),
        ({"training": {"penalty": {"kind": "budget"}}, "alphas": (0.01,)}, "needs the budgets of prompts"),
        ({"training": {"max_grad_norm": float("inf")}}, "finite number"),
        ({"training": {"agreement": {"stop_nats": float("inf")}}}, "finite number"),
        ({"training": {"preset": ["dler"]}}, "preset"),
        ({"evaluation": {"budgets": (0, -5)}}, "greater than or equal to 1"),
        ({"training": {"engine": {"kind": "vllm"}}, "runtime": {"processes": 2}}, "one training process"),
        ({"training": {"engine": {"kind": "vllm-server"}}, "runtime": {"processes": 2}}, "one training process"),
    ],
)
def test_what_would_fail_in_a_step_or_say_nothing_is_refused_before_any(changes, why):
    with pytest.raises(ValidationError, match=why):
        experiment(**changes)


def test_an_engine_beside_one_process_and_several_processes_without_one_are_accepted():
    assert experiment(training={"engine": {"kind": "vllm"}}).runtime.processes == 1
    assert experiment(evaluation={"engine": {"kind": "vllm"}}, runtime={"processes": 2}).runtime.processes == 2


def test_more_than_there_are_samples_cannot_be_passed_at():
    with pytest.raises(ValidationError, match="pass@8 needs at least 8 samples"):
        Protocol(samples=4, pass_at=(1, 8))


def test_identical_greedy_samples_are_refused():
    with pytest.raises(ValidationError, match="would all be the same"):
        Protocol(samples=2, temperature=0)


def test_updates_that_do_not_divide_the_batch_are_refused():
    with pytest.raises(ValidationError, match="multiple of updates_per_step"):
        Training(prompts_per_step=5, updates_per_step=2)


def test_every_cell_is_one_model_one_alpha_and_one_seed():
    keys = list(experiment(alphas=(0, 0.1, 0.2), seeds=(0, 1)).cells())
    assert len(keys) == len({key.label for key in keys}) == 6


@pytest.mark.parametrize(
    ("training", "sentence"), [({"preset": "grpo"}, "varies little"), ({"preset": "sft-shortest"}, "not use alpha")]
)
def test_a_sweep_over_an_alpha_without_effect_is_cautioned_against(training, sentence):
    (caution,) = experiment(training=training).cautions()
    assert sentence in caution
    assert not list(experiment(training=training, alphas=(0.2,)).cautions())
    assert not list(experiment().cautions())


def test_every_setting_and_every_choice_is_explained_in_the_schema():
    schema = Experiment.model_json_schema()
    records = {"Experiment": schema, **schema["$defs"]}
    assert not [name for name, record in records.items() if not record.get("description")]
    settings = {
        f"{name}.{key}": setting for name, record in records.items() for key, setting in record["properties"].items()
    }
    # A constant names its record, whose description is the explanation.
    bare = [name for name, setting in settings.items() if "const" not in setting and not setting.get("description")]
    assert not bare and len(settings) > 200
