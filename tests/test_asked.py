"""The experiment of a flow run: given as a name, a path or a form; kept where the place says."""

import pytest
from jsonschema import Draft202012Validator
from prefect.utilities.callables import parameter_schema
from pydantic import TypeAdapter

from effreason.choices import FolderHome, S3Home
from effreason.choices.launching import Container, Process
from effreason.errors import UserError
from effreason.experiment import Experiment
from flows.asked import AskedExperiment, name_of
from flows.full_sweep import full_sweep

FORM = {"name": "mine", "alphas": [0.1], "models": [{"source": "builtin"}]}


def asked(value: object) -> Experiment:
    return TypeAdapter(AskedExperiment).validate_python(value)


def test_a_name_a_path_and_a_form_are_all_understood(tmp_path):
    (tmp_path / "mine.toml").write_text('name = "mine"\nalphas = [0.1]\n[[models]]\nsource = "builtin"\n')
    assert asked("tiny").name == name_of("tiny") == "tiny"
    by_path, by_form = asked(str(tmp_path / "mine.toml")), asked(FORM)
    assert by_path.alphas == by_form.alphas and name_of(FORM) == "mine"
    assert asked(by_form) == by_form


def test_what_does_not_exist_is_refused_with_the_names_that_do():
    with pytest.raises(UserError, match=r"no experiment nowhere.*tiny"):
        asked("nowhere")


def test_an_experiment_without_a_store_is_kept_where_the_place_says(monkeypatch):
    monkeypatch.setenv("EFFREASON_STORE", "s3://artifacts/sweeps")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://store:8333")
    home = S3Home(bucket="artifacts", prefix="sweeps", endpoint="http://store:8333")
    assert asked("tiny").store == asked(FORM).store == home
    own = FolderHome(path="elsewhere")
    assert asked(FORM | {"store": {"kind": "folder", "path": "elsewhere"}}).store == own
    monkeypatch.setenv("EFFREASON_STORE", "here")
    assert asked(FORM).store == FolderHome(path="here")
    monkeypatch.delenv("EFFREASON_STORE")
    assert asked(FORM).store == FolderHome()


def test_an_experiment_without_a_launcher_is_launched_as_the_place_says(monkeypatch):
    monkeypatch.setenv("EFFREASON_LAUNCHER", '{"kind": "container", "network": "store"}')
    assert asked(FORM).runtime.launcher == Container(network="store")
    own = {"launcher": {"kind": "container", "network": "mine"}}
    assert asked(FORM | {"runtime": own}).runtime.launcher == Container(network="mine")
    monkeypatch.setenv("EFFREASON_LAUNCHER", '{"kind": "crane"}')
    with pytest.raises(UserError, match=r"crane.* is not a valid launcher.*Write it like"):
        asked(FORM)
    monkeypatch.delenv("EFFREASON_LAUNCHER")
    assert asked(FORM).runtime.launcher == Process()


def test_the_form_of_the_ui_takes_a_name_or_a_whole_experiment_and_explains_every_field():
    schema = parameter_schema(full_sweep).model_dump()
    text, form = schema["properties"]["experiment"]["anyOf"]
    assert text == {"type": "string"}
    fields = schema["definitions"][form["$ref"].rpartition("/")[2]]["properties"]
    assert {"name", "models", "data", "training", "alphas", "seeds", "evaluation", "store", "runtime"} <= set(fields)
    check = Draft202012Validator(schema)
    assert check.is_valid({"experiment": "tiny"}) and check.is_valid({"experiment": FORM})
    assert not check.is_valid({"experiment": FORM | {"alhpas": [1]}}) and not check.is_valid({"experiment": 3})
