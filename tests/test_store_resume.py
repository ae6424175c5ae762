"""Large files that go up in parts: what a writer that was killed has sent already is not sent again."""

import multiprocessing
import os
import secrets
import signal
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from made_up_artifact import contents, folder_of, seal, spec

from effreason.choices import FolderHome, Home, S3Home
from effreason.errors import StepFailure
from effreason.progress import Progress
from effreason.store import Store, open_store
from effreason.store.s3 import S3Shelf
from effreason.store.sealing import SealedStore
from effreason.store.server import Transfer

SMALL_PARTS = Transfer(part_bytes=5 << 20, threads=2)
LARGE = (20 << 20) + 1
PARTS = 5
ADDRESS = spec().address


def large_files(folder: Path) -> dict[str, bytes]:
    files = {"optimizer.pt": secrets.token_bytes(LARGE), "state.json": b"{}"}
    folder_of(folder, files)
    return files


def counted(shelf: S3Shelf) -> Counter[str]:
    """By operation: the requests of the shelf from here on."""
    calls = Counter[str]()

    def count(model: Any, **_: object) -> None:
        calls[model.name] += 1

    shelf.client.meta.events.register("before-call.s3", count)
    return calls


def save_and_die(home: S3Home, folder: Path, sound_parts: int) -> None:
    """As a power cut in the middle of a checkpoint."""
    shelf, parts = S3Shelf(home, SMALL_PARTS), Counter[str]()

    def die(**_: object) -> None:
        parts["arrived"] += 1
        if parts["arrived"] > sound_parts:
            os.kill(os.getpid(), signal.SIGKILL)

    shelf.client.meta.events.register("after-call.s3.UploadPart", die)
    SealedStore(shelf).save_working(ADDRESS, "step-20", folder)


def killed_while_saving(home: S3Home, folder: Path, sound_parts: int = 3) -> None:
    arguments = (home, folder, sound_parts)
    process = multiprocessing.get_context("spawn").Process(target=save_and_die, args=arguments)
    process.start()
    process.join(200)
    assert process.exitcode == -signal.SIGKILL


def test_a_checkpoint_goes_on_from_the_parts_of_a_writer_that_was_killed(s3_home: S3Home, tmp_path: Path):
    files = large_files(tmp_path / "checkpoint")
    killed_while_saving(s3_home, tmp_path / "checkpoint")
    shelf = S3Shelf(s3_home, SMALL_PARTS)
    store, calls = SealedStore(shelf), counted(shelf)
    assert store.load_working(ADDRESS, tmp_path / "loaded") is None
    store.save_working(ADDRESS, "step-20", tmp_path / "checkpoint")
    assert calls["UploadPart"] <= PARTS - 3 and calls["CreateMultipartUpload"] == 0
    assert store.load_working(ADDRESS, tmp_path / "loaded") == "step-20"
    assert contents(tmp_path / "loaded") == files


def test_parts_that_differ_are_sent_anew(s3_home: S3Home, tmp_path: Path):
    files = large_files(tmp_path / "checkpoint")
    killed_while_saving(s3_home, tmp_path / "checkpoint")
    shelf = S3Shelf(s3_home, SMALL_PARTS)
    (begun,) = (entry for entry in shelf.entries("working") if entry.upload)
    at = {"Bucket": s3_home.bucket, "Key": f"{s3_home.prefix}/{begun.key}", "UploadId": begun.upload}
    shelf.client.upload_part(**at, PartNumber=1, Body=bytes(5 << 20))
    shelf.client.upload_part(**at, PartNumber=2, Body=bytes(6 << 20))
    SealedStore(shelf).save_working(ADDRESS, "step-20", tmp_path / "checkpoint")
    assert SealedStore(shelf).load_working(ADDRESS, tmp_path / "loaded") == "step-20"
    assert contents(tmp_path / "loaded") == files


def test_a_checkpoint_of_other_bytes_takes_nothing_of_what_was_begun(s3_home: S3Home, tmp_path: Path):
    large_files(tmp_path / "killed")
    killed_while_saving(s3_home, tmp_path / "killed")
    files = large_files(tmp_path / "other")
    store = SealedStore(S3Shelf(s3_home, SMALL_PARTS))
    store.save_working(ADDRESS, "step-20", tmp_path / "other")
    assert store.load_working(ADDRESS, tmp_path / "loaded") == "step-20"
    assert contents(tmp_path / "loaded") == files


def test_a_large_file_that_arrived_before_its_writer_died_is_not_sent_again(s3_home: S3Home, tmp_path: Path):
    files = large_files(tmp_path / "checkpoint")
    shelf = S3Shelf(s3_home, SMALL_PARTS)
    store, calls = SealedStore(shelf), counted(shelf)
    shelf.client.meta.events.register("before-parameter-build.s3.PutObject", refuse)
    with pytest.raises(StepFailure, match="enough"):
        store.save_working(ADDRESS, "step-20", tmp_path / "checkpoint")
    shelf.client.meta.events.unregister("before-parameter-build.s3.PutObject", refuse)
    store.save_working(ADDRESS, "step-20", tmp_path / "checkpoint")
    assert calls["UploadPart"] == PARTS
    assert store.load_working(ADDRESS, tmp_path / "loaded") == "step-20"
    assert contents(tmp_path / "loaded") == files


def refuse(**_: object) -> None:
    raise StepFailure("The server has enough.", "Ask another.")


def test_writers_of_the_same_large_file_at_the_same_moment_both_succeed(s3_home: S3Home, tmp_path: Path):
    files = large_files(tmp_path / "output")
    start = threading.Barrier(3)

    def writer(_: int) -> Any:
        store = SealedStore(S3Shelf(s3_home, SMALL_PARTS))
        start.wait(30)
        return seal(store, tmp_path / "output")

    with ThreadPoolExecutor(3) as pool:
        sealed = list(pool.map(writer, range(3)))
    assert len({manifest.attempt for manifest in sealed}) == 1
    shelf = S3Shelf(s3_home)
    assert SealedStore(shelf).verify(sealed[0]) == []
    assert len(list(shelf.keys("prepare"))) == len(files) + 1


def test_an_upload_that_fails_waits_to_be_continued_and_is_gone_when_the_artifact_is_sealed(
    s3_home: S3Home, tmp_path: Path
):
    files = large_files(tmp_path / "output")
    shelf = S3Shelf(s3_home, SMALL_PARTS)
    shelf.client.meta.events.register("before-parameter-build.s3.CompleteMultipartUpload", refuse)
    with pytest.raises(StepFailure, match="enough"):
        seal(SealedStore(shelf), tmp_path / "output")
    assert list(shelf.keys("prepare")) == []
    assert [entry.size for entry in shelf.entries("prepare")] == [LARGE]
    shelf.client.meta.events.unregister("before-parameter-build.s3.CompleteMultipartUpload", refuse)
    calls = counted(shelf)
    sealed = seal(SealedStore(shelf), tmp_path / "output")
    assert calls["UploadPart"] == 0
    assert contents(SealedStore(shelf).fetch(sealed, tmp_path / "fetched")) == files
    assert [entry for entry in shelf.entries("prepare") if entry.upload] == []


def test_a_checkpoint_saved_again_keeps_the_large_file_that_both_share(s3_home: S3Home, tmp_path: Path):
    files = large_files(tmp_path / "checkpoint")
    shelf = S3Shelf(s3_home, SMALL_PARTS)
    store, calls = SealedStore(shelf), counted(shelf)
    store.save_working(ADDRESS, "step-20", tmp_path / "checkpoint")
    (tmp_path / "checkpoint" / "state.json").write_bytes(b"{ }")
    store.save_working(ADDRESS, "step-20", tmp_path / "checkpoint")
    assert calls["UploadPart"] == PARTS
    assert store.load_working(ADDRESS, tmp_path / "loaded") == "step-20"
    assert contents(tmp_path / "loaded") == {**files, "state.json": b"{ }"}
    assert len(list(shelf.keys("working"))) == 3


@pytest.fixture(params=["folder", "s3"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    if request.param == "s3":
        found: S3Home = request.getfixturevalue("s3_home")
        return found
    return FolderHome(path=str(tmp_path / "store"))


def test_large_transfers_tell_how_far_they_are_and_small_ones_do_not(home: Home, tmp_path: Path):
    told: list[Progress] = []
    store: Store = open_store(home).telling(told.append)
    seal(store, folder_of(tmp_path / "small", {"a": b"a"}), seed=1)
    assert told == []
    sealed = seal(store, folder_of(tmp_path / "large", {"a": bytes(60_000_000), "b": bytes(60_000_001)}), seed=2)
    store.fetch(sealed, tmp_path / "fetched")
    assert {progress.phase for progress in told} == {"upload", "fetch"}
    for phase in ("upload", "fetch"):
        done = [progress.done for progress in told if progress.phase == phase]
        assert done == sorted(done) and done[-1] == 120
    assert {progress.total for progress in told} == {120}
