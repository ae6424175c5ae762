"""What steps cost: sums that add up, parts of GPUs as parts, and no figure where nobody has measured."""

import json
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_sweep import MadeUp, seal_sweep
from test_metrics import sealed

from effreason.artifacts import Manifest, Provenance
from effreason.choices import Price
from effreason.cost import Spent, core_hours, cost_table, gpu_hours, money, spent_on
from effreason.provenance import provenance
from effreason.steps import produce
from effreason.store import sealing
from effreason.store.files import put_all
from effreason.store.folder import FolderStore
from effreason.workbench import Runtime, Turn

amounts = st.floats(0, 1e6)
spendings = st.builds(
    Spent.in_turn, amounts, st.sampled_from([0.0, 0.5, 1.0, 8.0]), st.none() | st.integers(1, 64), st.integers(0, 10**9)
)


@given(st.lists(spendings), st.lists(spendings))
def test_the_parts_add_up_to_the_whole(some, others):
    price = Price(gpu_hour=2.5, core_hour=0.04)
    both, apart = Spent.all_of([*some, *others]), (Spent.all_of(some), Spent.all_of(others))
    assert both.tokens == sum(each.tokens for each in apart)
    assert both.gpu_seconds == pytest.approx(sum(each.gpu_seconds for each in apart))
    assert both.money(price) == pytest.approx(sum(each.money(price) for each in apart))


@given(spendings)
def test_a_step_pays_for_its_gpus_or_for_its_cores_and_never_for_both(spent):
    assert not spent.gpu_seconds or not spent.core_seconds


def test_half_a_gpu_for_an_hour_costs_half_an_hour_of_it():
    spent = Spent.in_turn(3600, 0.5, 4)
    assert spent.gpu_seconds == 1800
    assert money(spent, Price(gpu_hour=2.5)) == "1.25 EUR"


def test_without_a_gpu_there_are_none_rather_than_zero_and_without_a_price_there_is_no_sum():
    spent = Spent.in_turn(3600, 0, 2)
    assert (gpu_hours(spent), core_hours(spent)) == ("no GPU", "2.00")
    assert money(spent, Price(gpu_hour=2.5)) == "no price"
    assert "leaves out steps without a GPU" in cost_table({"all": spent}, Price(gpu_hour=2.5))
    unknown = Spent.in_turn(3600, 0, None)
    assert core_hours(unknown) == "not recorded"
    assert "steps whose cores are not recorded" in cost_table({"all": unknown}, Price(core_hour=1))


def test_a_turn_counts_from_its_beginning_and_a_manifest_without_one_by_its_seconds():
    began = datetime.now(UTC) - timedelta(seconds=30)
    with_turn = provenance(began, 8.0, Runtime(threads=3, turn=Turn(gpus=2, began=began)), processes=2)
    assert with_turn.turn_seconds == pytest.approx(30, abs=1)
    assert (with_turn.gpus, with_turn.cores) == (2, 6)
    old = sealed(tokens=5).model_dump(mode="json")
    for name in ("gpus", "cores", "turn_seconds"):
        del old["provenance"][name]
    old["provenance"]["hardware"] = {"machine": "x86_64", "cores": 8, "gpus": 4, "gpu": "NVIDIA H100 80GB HBM3"}
    spent = spent_on(Manifest.model_validate(old))
    assert (spent.seconds, spent.gpu_seconds, spent.tokens) == (8, 32, 5)


def test_a_turn_lasts_until_the_files_are_stored(tmp_path, monkeypatch):
    """A large policy takes minutes, and its step holds its GPUs for as long."""

    def slowly(*stored):
        time.sleep(0.5)
        put_all(*stored)

    monkeypatch.setattr(sealing, "put_all", slowly)
    origin = provenance(datetime.now(UTC), 8.0, Runtime(turn=Turn(gpus=2)))
    made = sealed(tokens=5)
    (tmp_path / "output").mkdir()
    manifest = FolderStore(tmp_path / "store").seal(made.spec, made.artifact, tmp_path / "output", origin)
    assert 8.5 <= manifest.provenance.turn_seconds < 20 and manifest.provenance.seconds == 8.0


def test_a_continued_training_counts_the_steps_before_its_checkpoint():
    manifest = sealed(tokens=5, gpus=1)
    longer = manifest.model_copy(update={"artifact": manifest.artifact.model_copy(update={"seconds": 500.0})})
    assert spent_on(longer).gpu_seconds == 500


def test_the_report_tells_costs_with_money_only_where_there_is_a_price(tmp_path):
    store = FolderStore(tmp_path / "store")
    spec = seal_sweep(store, MadeUp(alphas=(0.0, 0.2), problems=6, validation=6, samples=2, steps=3))
    cells = [store.find(cell.policy) for cell in spec.cells]
    priced = produce(spec, store, Runtime(price=Price(gpu_hour=3.0, core_hour=0.1, currency="CHF")))
    folder = store.fetch(priced, tmp_path / "report")
    costs = {each["steps"]: each for each in json.loads((folder / "report.json").read_text())["costs"]}
    assert costs["training"]["number"] == len(cells)
    assert costs["training"]["generated_tokens"] == sum(spent_on(cell).tokens for cell in cells)
    assert costs["all"]["seconds"] == pytest.approx(sum(costs[kind]["seconds"] for kind in costs if kind != "all"))
    assert "CHF" in (folder / "report.html").read_text()
    assert "measured when they were made" in (folder / "table.md").read_text()
    assert "money_CHF" in (folder / "method.csv").read_text()


def test_what_was_recorded_before_is_still_read():
    fields = set(Provenance.model_fields)
    assert {"gpus", "cores", "turn_seconds"} <= fields
    assert not any(Provenance.model_fields[name].is_required() for name in ("gpus", "cores", "turn_seconds"))
