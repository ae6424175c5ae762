"""What `artifacts clean` removes, and above all what it does not."""

import argparse
import os
import time
from datetime import timedelta
from pathlib import Path

import pytest
from made_up_artifact import FILES, contents, folder_of, seal, spec

from effreason.choices import FolderHome, Home, S3Home
from effreason.commands.artifacts import add_parser
from effreason.store.cleaning import Litter
from effreason.store.folder import FolderShelf
from effreason.store.s3 import S3Shelf
from effreason.store.sealing import SealedStore
from effreason.store.server import Transfer
from effreason.store.shelf import Shelf

AT_ONCE = timedelta(0)
DAY = timedelta(days=1)
ADDRESS = spec().address


@pytest.fixture(params=["folder", "s3"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    if request.param == "s3":
        found: S3Home = request.getfixturevalue("s3_home")
        return found
    return FolderHome(path=str(tmp_path / "store"))


@pytest.fixture
def shelf(home: Home) -> Shelf:
    return FolderShelf(Path(home.path)) if isinstance(home, FolderHome) else S3Shelf(home)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return folder_of(tmp_path / "output", FILES)


def keys(found: list[Litter]) -> set[str]:
    return {entry.key for litter in found for entry in litter.entries}


def settle() -> None:
    """S3 tells times in whole seconds."""
    time.sleep(1.1)


def clean(store: SealedStore) -> set[str]:
    settle()
    found = list(store.litter(AT_ONCE))
    for litter in found:
        store.remove(litter)
    return keys(found)


def test_a_sealed_artifact_loses_what_its_manifest_does_not_name_and_nothing_else(
    shelf: Shelf, output: Path, tmp_path: Path
):
    store = SealedStore(shelf)
    sealed = seal(store, output)
    before = set(shelf.keys("prepare"))
    shelf.write(f"{ADDRESS}/0123456789abcdef/train.jsonl", b"of a writer that came second")
    store.save_working(ADDRESS, "step-10", output)
    assert clean(store) >= {f"{ADDRESS}/0123456789abcdef/train.jsonl", f"working/{ADDRESS}/step-10/checkpoint.json"}
    assert set(shelf.keys("prepare")) == before and list(shelf.keys("working")) == []
    assert contents(store.fetch(sealed, tmp_path / "fetched")) == FILES
    assert clean(store) == set()


def test_an_attempt_that_was_never_sealed_goes(shelf: Shelf):
    shelf.write(f"{ADDRESS}/0123456789abcdef/train.jsonl", b"half")
    assert clean(SealedStore(shelf)) == {f"{ADDRESS}/0123456789abcdef/train.jsonl"}
    assert list(shelf.keys("prepare")) == []


def test_the_newest_whole_checkpoint_of_an_unsealed_step_stays(shelf: Shelf, output: Path, tmp_path: Path):
    store = SealedStore(shelf)
    store.save_working(ADDRESS, "step-10", output)
    whole = set(shelf.keys("working"))
    shelf.write(f"working/{ADDRESS}/step-05/checkpoint.json", b"superseded")
    shelf.write(f"working/{ADDRESS}/step-20/0123456789abcdef/weights", b"half of a later one")
    assert len(clean(store)) == 2
    assert set(shelf.keys("working")) == whole
    assert store.load_working(ADDRESS, tmp_path / "loaded") == "step-10"


def test_a_checkpoint_that_lost_a_file_does_not_stand_for_the_newest(shelf: Shelf, output: Path, tmp_path: Path):
    store = SealedStore(shelf)
    store.save_working(ADDRESS, "step-20", output)
    store.save_working(ADDRESS, "step-10", output)
    (lost,) = (entry for entry in shelf.entries("working") if "/step-20/" in entry.key and "train" in entry.key)
    shelf.remove(lost)
    clean(store)
    assert {key.split("/")[3] for key in shelf.keys("working")} == {"step-10"}
    assert store.load_working(ADDRESS, tmp_path / "loaded") == "step-10"


def test_a_step_that_stored_anything_lately_is_left_alone(shelf: Shelf, output: Path):
    store = SealedStore(shelf)
    shelf.write(f"{ADDRESS}/0123456789abcdef/train.jsonl", b"half")
    shelf.write(f"working/{spec(1).address}/step-20/0123456789abcdef/weights", b"half")
    assert list(store.litter(DAY)) == []


def test_one_young_file_keeps_everything_of_its_step(output: Path, tmp_path: Path):
    shelf = FolderShelf(tmp_path / "store")
    shelf.write(f"{ADDRESS}/0123456789abcdef/train.jsonl", b"half")
    week = time.time() - 7 * 86400
    os.utime(tmp_path / "store" / ADDRESS / "0123456789abcdef" / "train.jsonl", (week, week))
    store = SealedStore(shelf)
    assert len(list(store.litter(DAY))) == 1
    shelf.write(f"working/{ADDRESS}/step-10/0123456789abcdef/weights", b"half")
    assert list(store.litter(DAY)) == []


def test_nothing_is_removed_where_a_manifest_is_damaged(shelf: Shelf, output: Path):
    store = SealedStore(shelf)
    seal(store, output)
    shelf.write(f"{ADDRESS}/manifest.json", b"{")
    assert clean(store) == set()


def test_an_upload_that_nobody_completed_goes(s3_home: S3Home, output: Path, tmp_path: Path):
    shelf = S3Shelf(s3_home, Transfer(part_bytes=5 << 20))
    store = SealedStore(shelf)
    store.save_working(ADDRESS, "step-10", folder_of(tmp_path / "large", {"weights": bytes(6 << 20)}))
    at = {"Bucket": s3_home.bucket, "Key": f"{s3_home.prefix}/working/{ADDRESS}/step-20/0123456789abcdef/weights"}
    upload = shelf.client.create_multipart_upload(**at)["UploadId"]
    shelf.client.upload_part(**at, UploadId=upload, PartNumber=1, Body=bytes(5 << 20))
    settle()
    (found,) = store.litter(AT_ONCE)
    assert found.size == 5 << 20 and found.entries[0].upload == upload
    store.remove(found)
    assert [entry for entry in shelf.entries("working") if entry.upload] == []
    assert store.load_working(ADDRESS, tmp_path / "loaded") == "step-10"


def test_the_command_shows_before_it_removes(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())

    def run(*arguments: str) -> str:
        options = parser.parse_args(["artifacts", "clean", "--store", str(tmp_path), *arguments])
        assert options.run(options) == 0
        return capsys.readouterr().out

    litter = FolderShelf(tmp_path)
    litter.write(f"{ADDRESS}/0123456789abcdef/train.jsonl", bytes(1_500_000))
    assert "nothing to remove" in run()
    for _ in range(2):
        told = run("--older-than", "0m")
        assert "train.jsonl" in told and "1 could be removed, 1.5 MB" in told
    assert "1 removed, 1.5 MB" in run("--older-than", "0m", "--yes")
    assert list(litter.keys("prepare")) == []
    with pytest.raises(SystemExit):
        run("--older-than", "soon")
