"""`engine` in an experiment: what can be said there, what it changes, and what each step then claims."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from effreason.choices import BuiltInModel, Engine, Local, Ray, Vllm, VllmServer
from effreason.errors import UserError
from effreason.experiment import Experiment, Resources
from effreason.experiment_file import load
from effreason.specs import EvaluateSpec

SWEEP = Experiment(name="small", models=(BuiltInModel(),), alphas=(0.2,))
KEY = next(SWEEP.cells())
PREPARATION = SWEEP.prepare_spec()
TRAINING = SWEEP.train_spec(KEY, PREPARATION.address)


def measuring_by(engine: Engine) -> EvaluateSpec:
    spec = SWEEP.evaluate_spec(KEY.model, None, PREPARATION.address)
    return spec.model_copy(update={"protocol": SWEEP.evaluation.model_copy(update={"engine": engine})})


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("", Local()),
        ('engine = "local"', Local()),
        ('engine = "ray"', Ray()),
        ('engine = { kind = "ray", address = "10.0.0.1:6379" }', Ray(address="10.0.0.1:6379")),
    ],
)
def test_one_setting_says_where_steps_run_and_changes_no_fingerprint(tmp_path, said, meant):
    text = f'name = "small"\nalphas = [0.2]\n[[models]]\nsource = "builtin"\n[runtime]\n{said}\n'
    (tmp_path / "small.toml").write_text(text)
    experiment = load(str(tmp_path / "small.toml"))
    assert experiment.runtime.engine == meant
    assert experiment.train_spec(next(experiment.cells()), PREPARATION.address).fingerprint == TRAINING.fingerprint


def test_an_engine_that_is_none_is_refused_with_those_there_are(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text('name = "x"\nalphas = [0]\n[[models]]\nsource = "builtin"\n[runtime]\nengine = "dask"\n')
    with pytest.raises(UserError, match=r"small.toml:6: runtime.engine needs a known `kind`; choose 'local', 'ray'"):
        load(str(path))


@pytest.mark.parametrize(
    ("resources", "sentence"),
    [
        ({"gpu_memory_gib": 8}, "give gpu_share instead of gpu_memory_gib"),
        ({"gpu_share": 0.5, "processes": 2}, "part of one GPU or several whole ones"),
        ({"engine": {"kind": "ray", "address": "ray://head:10001"}}, "should match pattern"),
    ],
)
def test_what_ray_cannot_give_is_refused(resources, sentence):
    with pytest.raises(ValidationError, match=sentence):
        Resources(**{"engine": "ray", **resources})


# ------------------------------------------------------------------------------------------------- what a step claims


class Nodes:
    """A cluster whose largest node has so many GPUs."""

    def __init__(self, gpus: int) -> None:
        self.gpus = gpus

    def most_gpus(self) -> int:
        return self.gpus


@pytest.fixture
def claims(monkeypatch: pytest.MonkeyPatch):
    """What a step claims of a cluster: GPUs and cores."""
    pytest.importorskip("ray")
    from tasks.ray import placement

    def claims(spec, gpus, **resources):
        monkeypatch.setattr(placement, "Cluster", lambda _: Nodes(gpus))
        wanted = Resources(**{"engine": "ray", **resources})
        claim = placement.ClusterTurns(wanted, wanted.engine, ())._claim(spec)
        return claim.gpus, claim.cores

    return claims


def test_a_step_claims_of_one_node_what_it_takes_on_one_machine(claims):
    assert claims(TRAINING, 4, processes=2, engine=Ray(cores=3)) == (2, 6)
    assert claims(measuring_by(Vllm(tensor_parallel=4)), 4) == (4, 1)
    assert claims(TRAINING, 4, gpu_share=0.25) == (0.25, 1)


def test_a_step_claims_no_gpu_where_it_needs_none_or_there_is_none(claims):
    assert claims(PREPARATION, 4)[0] == claims(measuring_by(VllmServer()), 4)[0] == 0
    assert claims(TRAINING, 0)[0] == claims(TRAINING, 4, device="cpu")[0] == 0


def test_more_gpus_than_any_node_has_are_refused_unless_one_may_still_come(claims):
    with pytest.raises(UserError, match="needs 3 GPUs of one node, but no node of the Ray cluster has more than 2"):
        claims(TRAINING, 2, processes=3)
    assert claims(TRAINING, 0, processes=3, device="cuda") == (3, 3)


def test_a_folder_goes_to_the_nodes_by_its_whole_path(tmp_path, monkeypatch):
    pytest.importorskip("ray")
    from effreason.order import Order
    from tasks.ray.placement import _for_all_nodes

    monkeypatch.chdir(tmp_path)
    order = _for_all_nodes(Order(spec=PREPARATION, store=SWEEP.store))
    assert Path(order.store.path) == tmp_path / "runs" / "store" and Path(order.store.path).is_dir()
