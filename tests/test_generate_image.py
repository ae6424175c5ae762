"""The image of the steps that generate with vLLM, which `make test-generate` builds: an evaluation in its container."""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_fixtures import no_engine, said_in

from effreason.artifacts import Evaluation, Problems
from effreason.choices import BuiltInModel, ChainSumSource, Container, FolderHome, Vllm
from effreason.errors import UserError
from effreason.experiment import Data, Experiment, Resources
from effreason.specs import Protocol, Suite
from effreason.steps import produce
from effreason.store import open_store
from tasks.running import engine
from tasks.running.confinement import USER
from tasks.running.launching import StepRunner, launch

IMAGE = "effreason/generate:local"


def not_built() -> bool:
    if no_engine():
        return True
    try:
        with engine.engine() as client:
            engine.image_of(client, IMAGE)
    except UserError:
        return True
    return False


pytestmark = [
    pytest.mark.containers,
    pytest.mark.skipif(not_built(), reason=f"no Docker engine with {IMAGE}; make test-generate builds it"),
    pytest.mark.timeout(900),
]


@pytest.fixture
def experiment(tmp_path: Path) -> Iterator[Experiment]:
    store = tmp_path / "store"
    store.mkdir()
    if os.getuid() == 0:  # as whom no step runs
        os.chown(store, USER, USER)
    sums = Suite(name="sums", source=ChainSumSource(), problems=8)
    name = f"test-{secrets.token_hex(4)}"
    yield Experiment(
        name=name,
        models=(BuiltInModel(),),
        alphas=(0.2,),
        data=Data(train_problems=1, validation_problems=0, suites=(sums,)),
        evaluation=Protocol(samples=1, temperature=0, max_tokens=200, engine=Vllm(cache_gib=0.25, rows=8)),
        store=FolderHome(path=str(store)),
        runtime=Resources(device="cpu", threads=1, launcher=Container()),
    )
    with engine.engine() as client:
        for container in engine.containers(client, {"effreason.experiment": name}):
            container.remove(force=True, v=True)


def test_an_evaluation_by_vllm_in_a_container_finds_what_our_own_sampler_finds(experiment):
    with StepRunner(experiment):
        problems = launch(experiment, "prepare", experiment.prepare_spec(), Problems)
        spec = experiment.evaluate_spec(BuiltInModel(), None, problems.address)
        by_vllm = launch(experiment, "evaluate", spec, Evaluation)
    store = open_store(experiment.store)
    made = store.find(spec.address)
    assert made is not None
    with engine.engine() as client:
        assert made.provenance.image == engine.digest_of(engine.image_of(client, IMAGE))
    usual = experiment.model_copy(update={"evaluation": Protocol(samples=1, temperature=0, max_tokens=200)})
    here = produce(usual.evaluate_spec(BuiltInModel(), None, problems.address), store)
    assert here.artifact.suites == by_vllm.suites


def test_no_compiler_stays_in_the_image_and_nobody_is_root():
    assert said_in(IMAGE, "import os, shutil; print(shutil.which('gcc'), os.getuid())") == f"None {USER}"
