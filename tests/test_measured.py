"""Which model a measurement is asked for, by whatever name a person gives it."""

from pathlib import Path

import pytest
from test_artifacts_command import EXPERIMENT, MODEL, TRAIN, fill

from effreason.choices import BuiltInModel, FolderHome
from effreason.errors import UserError
from effreason.experiment import Experiment
from effreason.store.folder import FolderStore
from tasks.measured import subject_of


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    fill(FolderStore(tmp_path / "store"), tmp_path / "output")
    return EXPERIMENT.model_copy(update={"store": FolderHome(path=str(tmp_path / "store"))})


def test_the_beginning_of_the_address_of_a_policy_is_that_policy_and_its_model(experiment):
    model, policy = subject_of(experiment, TRAIN.address[:10])
    assert model == MODEL and policy is not None and policy.address == TRAIN.address


def test_a_model_of_the_experiment_goes_by_the_name_that_it_has_there(experiment):
    named = experiment.model_copy(update={"models": (BuiltInModel(name="mine"),)})
    assert subject_of(named, "mine") == (BuiltInModel(name="mine"), None)
    assert subject_of(named, "reasoner") == (BuiltInModel(), None)


def test_a_name_that_nobody_has_is_refused(experiment):
    with pytest.raises(UserError, match="There is no model 'nobody'"):
        subject_of(experiment, "nobody")
