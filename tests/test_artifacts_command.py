"""`effreason artifacts` on a store with one artifact of every kind."""

import argparse
import json
from pathlib import Path

import pytest

from effreason.artifacts import Artifact, Evaluation, Manifest, Policy, Problems, Provenance, Report
from effreason.choices import BuiltInModel, S3Home
from effreason.commands.artifacts import add_parser
from effreason.errors import EffreasonError, StepFailure, UserError
from effreason.experiment import CellKey, Experiment
from effreason.specs import Spec
from effreason.store import Store, open_store
from effreason.store.folder import FolderStore

MODEL = BuiltInModel()
EXPERIMENT = Experiment(name="tiny", models=(MODEL,), alphas=(0.2,))
PREPARE = EXPERIMENT.prepare_spec()
TRAIN = EXPERIMENT.train_spec(CellKey(MODEL, 0.2, 0), PREPARE.address)
BASELINE = EXPERIMENT.evaluate_spec(MODEL, None, PREPARE.address)
AFTER = EXPERIMENT.evaluate_spec(MODEL, TRAIN.address, PREPARE.address)
CELL = EXPERIMENT.cell(CellKey(MODEL, 0.2, 0), TRAIN.address, BASELINE.address, AFTER.address)
REPORT = EXPERIMENT.report_spec((CELL,), PREPARE.address)
MADE: dict[Spec, Artifact] = {
    PREPARE: Problems(address=PREPARE.address, train=9, validation=1, suites={"chain-sum": 5}, dropped={}),
    TRAIN: Policy(
        address=TRAIN.address, model="reasoner", alpha=0.2, seed=0, steps=3, generated_tokens=99, seconds=1.0
    ),
    BASELINE: Evaluation(address=BASELINE.address, suites={}, generated_tokens=99, seconds=1.0),
    AFTER: Evaluation(address=AFTER.address, suites={}, generated_tokens=99, seconds=1.0),
    REPORT: Report(address=REPORT.address, recommended={"reasoner": 0.2}),
}
PROVENANCE = Provenance(
    commit="c" * 40,
    dirty=True,
    version="0.1.0",
    image=None,
    python="3.11.9",
    packages={"numpy": "2.0"},
    hardware={"cores": 2},
    started="2026-01-02T03:04:05+00:00",
    seconds=61.5,
)


def fill(store: Store, scratch: Path) -> None:
    scratch.mkdir()
    (scratch / "large.bin").write_bytes(bytes(1_500_000))
    (scratch / "small.txt").write_text("small")
    for spec, artifact in MADE.items():
        store.seal(spec, artifact, scratch, PROVENANCE)


@pytest.fixture
def place(tmp_path: Path) -> str:
    fill(FolderStore(tmp_path / "store"), tmp_path / "output")
    return str(tmp_path / "store")


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    options = parser.parse_args(["artifacts", *arguments])
    code: int = options.run(options)
    return code


def refused(kind: type[EffreasonError], *arguments: str) -> str:
    with pytest.raises(kind) as caught:
        run(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_artifact_is_listed_in_the_words_of_the_experiment(place: str, capsys: pytest.CaptureFixture[str]):
    assert run("list", "--store", place) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(MADE)
    listed = {line.split("  ")[0]: line for line in lines}
    for spec, label in {
        PREPARE: "chain-sum for chain-sum",
        TRAIN: "reasoner alpha=0.2 s0",
        BASELINE: "reasoner (base model), measured",
        AFTER: "reasoner alpha=0.2 s0, measured",
        REPORT: "tiny, 1 cells",
    }.items():
        assert f"  {label}  " in listed[spec.address]
        assert listed[spec.address].endswith("2026-01-02 03:04     1.5 MB")


def test_an_empty_store_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run("list", "--store", str(tmp_path)) == 0
    assert capsys.readouterr().out == f"No artifacts in {tmp_path}.\n"


@pytest.mark.parametrize("shown", [TRAIN.address, TRAIN.address[:10], TRAIN.address.removeprefix("train/")[:8], "t"])
def test_an_address_may_be_cut_short(place: str, capsys: pytest.CaptureFixture[str], shown: str):
    assert run("show", shown, "--store", place, "--json") == 0
    assert Manifest.model_validate_json(capsys.readouterr().out) == open_manifest(place, TRAIN)


def open_manifest(place: str, spec: Spec) -> Manifest:
    manifest = FolderStore(Path(place)).find(spec.address)
    assert manifest is not None
    return manifest


def test_an_address_that_fits_several_or_none_is_the_users_mistake(place: str):
    sentence = refused(UserError, "show", "evaluate/", "--store", place)
    assert BASELINE.address in sentence and AFTER.address in sentence
    assert "begins with 'train/nothing'" in refused(UserError, "show", "train/nothing", "--store", place)
    assert "begins with ''" in refused(UserError, "show", "", "--store", place)


def test_a_manifest_is_shown_for_people(place: str, capsys: pytest.CaptureFixture[str]):
    assert run("show", TRAIN.address, "--store", place) == 0
    page = capsys.readouterr().out
    for fact in ("61.5 s", "c" * 40, "uncommitted", "numpy 2.0", "cores 2", '"generated_tokens": 99', "large.bin"):
        assert fact in page


def test_a_whole_store_verifies_and_a_fault_is_told_with_exit_code_1(place: str, capsys: pytest.CaptureFixture[str]):
    assert run("verify", "--store", place) == 0
    assert "5 artifacts verified, 0 faults." in capsys.readouterr().out
    manifest = open_manifest(place, TRAIN)
    Path(place, TRAIN.address, manifest.attempt, "small.txt").write_text("smell")
    Path(place, REPORT.address, "manifest.json").write_text("{")
    assert run("verify", "--store", place) == 1
    told = capsys.readouterr().out
    assert f"In {TRAIN.address}, small.txt differs from its SHA-256." in told
    assert f"The stored artifact {REPORT.address} is damaged: its manifest cannot be read." in told
    assert "5 artifacts verified, 2 faults." in told
    assert run("verify", "--store", place, PREPARE.address) == 0


def test_a_damaged_manifest_does_not_hide_the_other_artifacts(place: str, capsys: pytest.CaptureFixture[str]):
    Path(place, REPORT.address, "manifest.json").write_text("{")
    assert run("list", "--store", place) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(MADE) and lines[-1].startswith(f"{REPORT.address}  damaged")


def test_where_there_is_nothing_nothing_is_called_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run("verify", "--store", str(tmp_path)) == 0
    assert capsys.readouterr().out == f"No artifacts in {tmp_path}, so nothing was verified.\n"


def test_files_are_copied_out_verified(place: str, tmp_path: Path):
    assert run("get", TRAIN.address, str(tmp_path / "copy"), "--store", place) == 0
    assert (tmp_path / "copy" / "small.txt").read_text() == "small"
    assert (tmp_path / "copy" / "large.bin").stat().st_size == 1_500_000
    assert "not an empty folder" in refused(UserError, "get", "train", str(tmp_path / "copy"), "--store", place)
    Path(place, TRAIN.address, open_manifest(place, TRAIN).attempt, "small.txt").write_text("smell")
    assert "small.txt differs" in refused(StepFailure, "get", "train", str(tmp_path / "other"), "--store", place)
    assert not (tmp_path / "other").exists()
    assert "cannot be used as a folder" in refused(UserError, "get", "train", "x" * 300, "--store", place)


def test_a_place_that_is_no_store_is_the_users_mistake(tmp_path: Path):
    assert "There is no store" in refused(UserError, "list", "--store", str(tmp_path / "none"))
    assert "does not name a bucket" in refused(UserError, "list", "--store", "s3://")
    assert "--endpoint is for S3" in refused(UserError, "list", "--store", str(tmp_path), "--endpoint", "http://x")


def test_a_store_in_s3_is_used_alike(
    s3_home: S3Home,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):
    fill(open_store(s3_home), tmp_path / "output")
    place = ("--store", f"s3://{s3_home.bucket}/{s3_home.prefix}", "--endpoint", str(s3_home.endpoint))
    assert run("list", *place) == 0 and run("verify", *place) == 0
    assert "5 artifacts verified, 0 faults." in capsys.readouterr().out
    assert run("show", "train", "--json", *place) == 0
    assert json.loads(capsys.readouterr().out)["address"] == TRAIN.address
    assert run("get", "train", str(tmp_path / "copy"), *place) == 0
    assert (tmp_path / "copy" / "small.txt").read_text() == "small"
