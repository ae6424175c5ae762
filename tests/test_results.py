"""The table of results in the UI says what report.json says, and leads to what was measured."""

from pathlib import Path

import pytest
from made_up_sweep import MadeUp, seal_sweep

from effreason.artifacts import Manifest, Report
from effreason.specs import ReportSpec
from effreason.steps import produce
from effreason.store.folder import FolderStore
from tasks.display.results import BASE, Row, rows

SWEEP = MadeUp(models=("reasoner", "another-model"), alphas=(0.0, 0.4), problems=20, validation=10, samples=2, steps=4)
BROWSER = "http://127.0.0.1:4280"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Manifest, Path]:
    folder = tmp_path_factory.mktemp("results")
    store = FolderStore(folder / "store")
    manifest = produce(seal_sweep(store, SWEEP), store)
    return manifest, store.fetch(manifest, folder / "report")


def table(made: tuple[Manifest, Path], browser: str | None, recommended: dict[str, float | None]) -> list[Row]:
    manifest, folder = made
    assert isinstance(manifest.spec, ReportSpec)
    return rows(folder, Report(address=manifest.address, recommended=recommended), manifest.spec.cells, browser)


def test_each_model_has_a_row_as_it_comes_and_one_for_each_cell_with_intervals(made):
    written = table(made, None, {"reasoner": 0.4, "another-model": None})
    assert [(row["model"], row["alpha"]) for row in written] == [
        (model, alpha) for model in SWEEP.models for alpha in (BASE, "0", "0.4")
    ]
    assert all("[" in row["accuracy"] and "[" in row["tokens"] for row in written)
    assert [row["token reduction"] == "" for row in written] == [row["alpha"] == BASE for row in written]
    assert [(row["model"], row["alpha"]) for row in written if row["recommended"]] == [("reasoner", "0.4")]


def test_columns_that_say_nothing_are_left_out_and_every_row_has_the_same(made):
    columns = [list(row) for row in table(made, BROWSER, {})]
    assert columns[0] == [
        "model", "alpha", "accuracy", "tokens", "token reduction", "recommended", "weights", "evaluation"
    ]  # fmt: skip
    assert all(one == columns[0] for one in columns)


def test_a_row_leads_to_its_own_weights_and_evaluation(made):
    manifest, _ = made
    links = [(row["weights"], row["evaluation"]) for row in table(made, BROWSER, {}) if row["alpha"] != BASE]
    assert links == [
        (f"[weights]({BROWSER}/{cell.policy}/)", f"[evaluation]({BROWSER}/{cell.after}/)")
        for cell in manifest.spec.cells
    ]
