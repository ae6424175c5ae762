"""The whole pipeline at its smallest, through the one door and without an orchestrator: real model, real training."""

import json
from pathlib import Path

import pytest

from effreason.choices import FolderHome
from effreason.errors import StepFailure
from effreason.experiment_file import prepared
from effreason.order import Order
from effreason.planning import CPU, plan, steps
from effreason.report.schema import SCHEMA_VERSION
from effreason.steps import produce
from effreason.store import open_store
from effreason.workbench import Runtime

SMALL = str(Path(__file__).parent / "data" / "small.toml")


@pytest.fixture(scope="module")
def experiment():
    return prepared(SMALL)


@pytest.fixture(scope="module")
def store(tmp_path_factory, experiment):
    made = open_store(FolderHome(path=str(tmp_path_factory.mktemp("store"))))
    for node in steps(experiment):
        produce(node.spec, made, Runtime(threads=1, device="cpu"))
    return made


def test_everything_that_was_planned_is_in_the_store(experiment, store):
    assert all(step.done for step in plan(experiment, store.find, CPU))
    assert sorted(node.spec.address for node in steps(experiment)) == list(store.addresses())


def test_what_is_in_the_store_is_not_made_again(experiment, store):
    before = {node.spec.address: store.find(node.spec.address) for node in steps(experiment)}
    for node in steps(experiment):
        assert produce(node.spec, store) == before[node.spec.address]


def test_every_artifact_is_whole_and_says_where_it_came_from(store):
    for address in store.addresses():
        manifest = store.find(address)
        assert store.verify(manifest) == []
        assert manifest.provenance.packages["numpy"]
        assert manifest.provenance.seconds > 0


def test_the_report_has_a_row_for_every_cell_with_intervals(experiment, store, tmp_path):
    *_, report = steps(experiment)
    store.fetch(store.find(report.spec.address), tmp_path)
    told = json.loads((tmp_path / "report.json").read_text())
    assert told["schema"] == SCHEMA_VERSION and told["experiment"] == "small"
    assert [cell["alpha"] for cell in told["cells"]] == [0.0, 0.4]
    for cell in told["cells"]:
        interval = cell["after"]["accuracy"]
        assert interval["low"] < interval["high"] and interval["low"] <= interval["centre"] <= interval["high"]
    assert (tmp_path / "report.html").stat().st_size > 10_000


def test_a_trained_policy_is_a_model_that_transformers_loads(experiment, store, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    address = next(node.spec.address for node in steps(experiment) if node.spec.step == "train")
    folder = store.fetch(store.find(address), tmp_path, only=["model/"]) / "model"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True)
    answered = model.generate(**tokenizer("3+4=?", return_tensors="pt"), max_new_tokens=100, do_sample=False)
    assert "####" in tokenizer.decode(answered[0])


def test_a_step_without_what_it_builds_on_says_so(experiment, tmp_path):
    empty = open_store(FolderHome(path=str(tmp_path)))
    training = next(node.spec for node in steps(experiment) if node.spec.step == "train")
    with pytest.raises(StepFailure, match="not in the store"):
        produce(training, empty)


def test_an_order_survives_its_journey_as_json(experiment):
    for node in steps(experiment):
        order = Order(spec=node.spec, store=FolderHome(path="x"))
        again = Order.model_validate_json(order.model_dump_json())
        assert again == order and again.spec.address == node.spec.address
