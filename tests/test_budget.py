"""A budget holds trainings back, whichever run has spent it; what has begun is finished and reported."""

import re
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from prefect_fixtures import ask
from pydantic import ValidationError
from test_flow import EXPERIMENT, STEPS, latest_run, shown_of_latest
from test_flow import place as place  # a fixture

from effreason.artifacts import Policy
from effreason.choices import Budget, BuiltInModel, FolderHome, Price
from effreason.cost import Spent, spent_on
from effreason.experiment import Experiment, Resources
from effreason.pinning import pin
from effreason.planning import steps
from effreason.provenance import provenance
from effreason.specs import EvaluateSpec, ReportSpec, TrainSpec
from effreason.store import open_store
from effreason.store.folder import FolderStore
from effreason.workbench import Runtime, Turn
from tasks.running.spending import HELD_BACK, HeldBack, SweepSpending


def with_budget(place, budget: str) -> None:
    limited = f"[runtime]\nparallel = 1\nbudget = {budget}\nprice = {{ core_hour = 3600, currency = 'CHF' }}"
    (place.folder / "small.toml").write_text(EXPERIMENT.replace("[runtime]\nparallel = 2", limited))


def spent_in(place) -> Spent:
    """On all that is in the store."""
    store = open_store(FolderHome(path=str(place.folder / "runs/store")))
    return Spent.all_of(spent_on(store.find(address)) for address in store.addresses())


def missing_in_reports(place) -> list[tuple[str, ...]]:
    store = open_store(FolderHome(path=str(place.folder / "runs/store")))
    specs = [store.find(address).spec for address in store.addresses()]
    return sorted(spec.held_back for spec in specs if isinstance(spec, ReportSpec))


@pytest.mark.slow
def test_a_budget_that_is_used_up_holds_trainings_back_and_more_of_it_goes_on(place, prefect_server):
    with_budget(place, "{ core_hours = 1e-6 }")
    code, output, errors = place.run()
    assert code == 3
    assert "The budget of 1e-06 core-hours (" in errors and "None of the 2 training runs was started" in errors
    assert output.count("No further training will start") == 1
    assert sorted(place.started().values()) == ["evaluate base", "prepare"]
    cost = shown_of_latest(prefect_server)["small-dashboard"]["data"].partition("## Cost")[2]
    assert "| evaluate reasoner | 1 |" in cost and " CHF |" in cost and "**The budget of 1e-06 core-hours (" in cost

    with_budget(place, f"{{ money = {spent_in(place).core_seconds + 1e-6} }}")
    code, output, errors = place.run()
    assert code == 3
    made, left = ("0", "0.4") if "(reasoner alpha=0.4 s0)" in errors else ("0.4", "0")  # whichever came first
    assert (
        f"1 of 2 training runs were not started (reasoner alpha={left} s0), so the report is of the other 1" in errors
    )
    assert " CHF (" in errors
    assert sorted(place.started().values()) == sorted(
        ["evaluate base", "evaluate tuned", "prepare", "report", f"train {float(made)}"]
    )
    assert (place.folder / "runs/small/report/report.html").exists()
    assert missing_in_reports(place) == [(f"reasoner alpha={left} s0",)]
    states_of_tasks(prefect_server, made, left)

    (place.folder / "small.toml").write_text(EXPERIMENT)
    code, output, errors = place.run()
    assert (code, errors) == (0, "")
    assert sorted(place.started().values()) == sorted([*STEPS, "report"]), (
        "only what was missing, and the report of all"
    )
    assert missing_in_reports(place) == [(), (f"reasoner alpha={left} s0",)]


@pytest.mark.slow
def test_a_base_measurement_that_runs_goes_on_to_its_end_though_every_cell_of_its_model_is_held_back(place):
    code, _, errors = place.run()
    assert (code, errors) == (0, "")
    limited = EXPERIMENT + 'budget = { core_hours = 1e-6 }\n[[models]]\nsource = "builtin"\nname = "other"\n'
    (place.folder / "small.toml").write_text(limited)
    code, _, errors = place.run({"evaluate base": "slow"})
    assert code == 3 and "2 of 4 training runs were not started (other alpha=0 s0, other alpha=0.4 s0)" in errors
    store = open_store(FolderHome(path=str(place.folder / "runs/store")))
    measured = [spec for address in store.addresses() if isinstance(spec := store.find(address).spec, EvaluateSpec)]
    assert [spec.policy for spec in measured if spec.model.name == "other"] == [None]


def states_of_tasks(server, made: str, left: str) -> None:
    run = latest_run(server)
    assert run["state_type"] == "FAILED"
    of_run = {"flow_runs": {"id": {"any_": [run["id"]]}}}
    states = {task["name"]: task["state_name"] for task in ask(server, "/task_runs/filter", of_run)}
    assert states[f"train reasoner alpha={left} s0"] == HELD_BACK
    never_began = [name for name, state in states.items() if state == "NotReady"]
    assert len(never_began) == 1 and never_began[0].startswith(f"evaluate reasoner alpha={left} s0")
    page = next(
        artifact["data"]
        for artifact in ask(server, "/artifacts/filter", of_run)
        if artifact["key"] == "small" and artifact["type"] == "markdown"
    )
    assert "## Cost" in page and "no GPU" in page and "CHF" in page
    assert f"| train reasoner alpha={made} s0 |" in page


def test_a_budget_of_money_needs_a_price():
    with pytest.raises(ValidationError, match="needs a price"):
        Resources(budget=Budget(money=3.0))
    Resources(budget=Budget(money=3.0), price=Price(gpu_hour=2.0))


@pytest.mark.parametrize("kind", [Budget, Price])
def test_an_empty_budget_or_price_is_refused(kind):
    with pytest.raises(ValidationError, match="needs"):
        kind()


# ----------------------------------------------------------------------------------------------- what a sweep has spent


def spending_of_a_sweep(tmp_path, **runtime) -> tuple[SweepSpending, TrainSpec, FolderStore]:
    experiment = Experiment(
        name="small", models=(BuiltInModel(),), alphas=(0.0, 0.4), runtime=Resources(device="cpu", **runtime)
    )
    pinned, store = pin(experiment, tmp_path), FolderStore(tmp_path / "store")
    spec = pinned.train_spec(next(pinned.cells()), pinned.prepare_spec().address)
    return SweepSpending(pinned, store), spec, store


def seal(store, spec, seconds: float, gpus: float) -> None:
    artifact = Policy(address=spec.address, model="m", alpha=0, seed=0, steps=1, generated_tokens=7, seconds=0.0)
    origin = provenance(datetime.now(UTC), seconds, Runtime(threads=1, turn=Turn(gpus=gpus)))
    with tempfile.TemporaryDirectory() as folder:
        store.seal(spec, artifact, Path(folder), origin)


@pytest.mark.parametrize(
    ("budget", "price"),
    [({"gpu_hours": 1.0}, None), ({"money": 2.5}, Price(gpu_hour=2.5)), ({"core_hours": 0.5, "gpu_hours": 1.0}, None)],
)
def test_what_earlier_runs_have_spent_counts(tmp_path, budget, price):
    mine, spec, store = spending_of_a_sweep(tmp_path, budget=Budget(**budget), price=price)
    assert mine.used_up() is None
    seal(store, spec, 3600.0, gpus=1.0)
    mine, *_ = spending_of_a_sweep(tmp_path, budget=Budget(**budget), price=price)
    assert "(1 spent)" in mine.used_up() or "2.5 EUR (2.5 spent)" in mine.used_up()


def test_only_trainings_are_held_back_and_the_reason_is_told_once(tmp_path):
    mine, spec, store = spending_of_a_sweep(tmp_path, budget=Budget(gpu_hours=1.0))
    seal(store, spec, 3600.0, gpus=1.0)
    told: list[str] = []
    for _ in range(2):
        with pytest.raises(HeldBack, match="is used up"), mine.turn(spec, 1.0, Runtime(), told.append):
            raise AssertionError("it began")
    assert told == ["The budget of 1 GPU-hours (1 spent) is used up. No further training will start."]
    other = Experiment(name="small", models=(BuiltInModel(),), alphas=(0.0,)).prepare_spec()
    with mine.turn(other, 0.0, Runtime(), told.append):
        assert len(told) == 1


@pytest.mark.parametrize(
    ("price", "gpus", "told"),
    [
        (Price(core_hour=0.04), 1.0, ["they run on GPUs, and runtime.price names no gpu_hour."]),
        (Price(gpu_hour=2.5), 0.0, ["they run without a GPU, and runtime.price names no core_hour."]),
        (Price(gpu_hour=2.5), 1.0, []),
        (Price(core_hour=0.04), 0.0, []),
    ],
)
def test_a_budget_of_money_that_counts_no_training_is_told_once(tmp_path, price, gpus, told):
    mine, spec, _ = spending_of_a_sweep(tmp_path, budget=Budget(money=1.0), price=price)
    heard: list[str] = []
    for _ in range(2):
        with mine.turn(spec, gpus, Runtime(threads=1), heard.append):
            pass
    assert heard == [f"The budget of 1 EUR counts no training: {reason}" for reason in told]


def test_a_price_without_a_budget_of_money_need_not_name_what_trainings_run_on(tmp_path):
    mine, spec, _ = spending_of_a_sweep(tmp_path, budget=Budget(gpu_hours=1.0), price=Price(core_hour=0.04))
    heard: list[str] = []
    with mine.turn(spec, 1.0, Runtime(threads=1), heard.append):
        assert heard == []


def test_a_step_that_runs_or_failed_counts_as_well_and_one_that_is_sealed_only_once(tmp_path):
    mine, spec, store = spending_of_a_sweep(tmp_path, budget=Budget(core_hours=1.0))
    with pytest.raises(RuntimeError), mine.turn(spec, 0.0, Runtime(threads=4), print):
        assert mine.spent().core_seconds >= 0
        raise RuntimeError
    failed = mine.spent()
    assert failed.core_seconds == pytest.approx(4 * failed.seconds) and failed.steps == 1
    seal(store, spec, 100.0, gpus=0.0)
    mine.sealed("train x", store.find(spec.address))
    made = spent_on(store.find(spec.address))  # the seal is in its turn, so on a busy machine it took a little longer
    assert 100.0 <= made.seconds < 110.0
    assert mine.spent() == made and mine.here().seconds == failed.seconds
    with mine.turn(spec, 0.0, Runtime(threads=4), print):
        assert mine.spent() == made, "it is sealed already"
    assert "| train x | 1 | 2 min | no GPU |" in mine.markdown()


def test_a_page_is_written_from_what_is_known_and_asks_the_store_for_nothing(tmp_path, monkeypatch):
    """It is written every few seconds, also before the first step has its final spec."""
    mine, _, _ = spending_of_a_sweep(tmp_path, budget=Budget(core_hours=1e-9), price=Price(core_hour=1.0))
    with monkeypatch.context() as patch:
        patch.setattr(mine, "_store", None)
        assert "used up" not in mine.markdown()
        with pytest.raises(RuntimeError), mine.turn(mine.sweep.prepare_spec(), 0.0, Runtime(threads=4), print):
            raise RuntimeError
        page = mine.markdown()
    assert "**The budget of 1e-09 core-hours (" in page and re.search(r"this run alone\*\* \| 1 \|.* EUR \|", page)


@pytest.mark.parametrize(("hours_in_the_manifest", "spent"), [(9.5, 10.0), (10.5, 10.5)])
def test_a_training_that_was_tried_again_does_not_count_its_first_steps_twice(
    tmp_path, monkeypatch, hours_in_the_manifest, spent
):
    """Its manifest tells of all its steps, those before the checkpoint among them."""
    mine, spec, store = spending_of_a_sweep(tmp_path, budget=Budget(gpu_hours=100.0))
    clock = SimpleNamespace(hours=0.0)
    monkeypatch.setattr("tasks.running.spending.time", SimpleNamespace(monotonic=lambda: 3600.0 * clock.hours))
    with pytest.raises(RuntimeError), mine.turn(spec, 1.0, Runtime(), print):
        clock.hours = 9.0
        raise RuntimeError
    with mine.turn(spec, 1.0, Runtime(), print):
        clock.hours = 10.0
        seal(store, spec, 3600.0 * hours_in_the_manifest, gpus=1.0)
        mine.sealed("train x", store.find(spec.address))
    assert mine.spent().gpu_seconds / 3600 == pytest.approx(spent, abs=0.01)


def test_hours_by_the_clock_are_those_of_this_run(tmp_path):
    mine, _, _ = spending_of_a_sweep(tmp_path, budget=Budget(hours=1e-9))
    assert "hours by the clock" in mine.used_up()


def test_neither_price_nor_budget_is_in_any_address(tmp_path):
    plain = Experiment(name="small", models=(BuiltInModel(),), alphas=(0.0,))
    runtime = Resources(budget=Budget(money=1), price=Price(gpu_hour=1))
    paid = plain.model_copy(update={"runtime": runtime})
    assert [spec.address for _, spec in steps(plain)] == [spec.address for _, spec in steps(paid)]
