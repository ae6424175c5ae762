"""Files read from a bucket stay on this machine for the next reader, and never make a wrong one."""

import hashlib
import multiprocessing
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from made_up_artifact import FILES, contents, folder_of, seal

from effreason.artifacts import StoredFile
from effreason.choices import S3Home
from effreason.store.cache import Cache, cache_of
from effreason.store.s3 import S3Shelf
from effreason.store.sealing import SealedStore


def stored(content: bytes) -> StoredFile:
    return StoredFile(path="file", size=len(content), sha256=hashlib.sha256(content).hexdigest())


def kept(cache: Cache, content: bytes, scratch: Path) -> StoredFile:
    scratch.mkdir(exist_ok=True)
    (scratch / "source").write_bytes(content)
    cache.keep(stored(content), scratch / "source")
    return stored(content)


def has(cache: Cache, file: StoredFile, scratch: Path) -> bool:
    return cache.take(file, scratch / "taken")


def test_an_artifact_that_was_fetched_is_fetched_again_without_the_server(s3_home: S3Home, tmp_path: Path):
    shelf, calls = S3Shelf(s3_home), Counter[str]()

    def count(model: Any, **_: object) -> None:
        calls[model.name] += 1

    store = SealedStore(shelf, cache=Cache(tmp_path / "cache", 10**9))
    sealed = seal(store, folder_of(tmp_path / "output", FILES))
    assert contents(store.fetch(sealed, tmp_path / "first")) == FILES
    shelf.client.meta.events.register("before-call.s3", count)
    assert contents(store.fetch(sealed, tmp_path / "second")) == FILES
    assert not calls


def test_a_step_that_changes_what_it_fetched_does_not_change_the_cache(s3_home: S3Home, tmp_path: Path):
    store = SealedStore(S3Shelf(s3_home), cache=Cache(tmp_path / "cache", 10**9))
    sealed = seal(store, folder_of(tmp_path / "output", FILES))
    for name in ("first", "second", "third"):
        fetched = store.fetch(sealed, tmp_path / name)
        assert contents(fetched) == FILES
        with (fetched / "train.jsonl").open("r+b") as file:
            file.write(b"changed")


def test_a_cached_file_that_was_altered_is_read_from_the_store_again(s3_home: S3Home, tmp_path: Path):
    store = SealedStore(S3Shelf(s3_home), cache=Cache(tmp_path / "cache", 10**9))
    sealed = seal(store, folder_of(tmp_path / "output", FILES))
    store.fetch(sealed, tmp_path / "first")
    for cached in (tmp_path / "cache").iterdir():
        cached.write_bytes(b"altered")
    assert contents(store.fetch(sealed, tmp_path / "second")) == FILES
    assert contents(store.fetch(sealed, tmp_path / "third")) == FILES


def test_what_was_used_longest_ago_leaves_first(tmp_path: Path):
    cache = Cache(tmp_path / "cache", 300)
    first, second, third = (kept(cache, bytes([number]) * 100, tmp_path / "s") for number in range(3))
    for age, file in ((30, first), (20, second), (10, third)):
        os.utime(tmp_path / "cache" / file.sha256, (time.time() - age, time.time() - age))
    assert has(cache, first, tmp_path)
    fourth = kept(cache, b"4" * 100, tmp_path / "s")
    assert [has(cache, file, tmp_path) for file in (first, second, third, fourth)] == [True, False, True, True]


def test_a_file_larger_than_the_limit_is_not_kept_and_drives_nothing_out(tmp_path: Path):
    cache = Cache(tmp_path / "cache", 100)
    small = kept(cache, b"s" * 90, tmp_path / "s")
    large = kept(cache, b"l" * 101, tmp_path / "s")
    assert has(cache, small, tmp_path) and not has(cache, large, tmp_path)


def test_a_file_that_a_killed_process_left_half_copied_goes_after_a_while(tmp_path: Path):
    cache = Cache(tmp_path / "cache", 1000)
    kept(cache, b"a", tmp_path / "s")
    for name, age in ((".partial-old", 7200), (".partial-young", 0)):
        (tmp_path / "cache" / name).write_bytes(b"half")
        os.utime(tmp_path / "cache" / name, (time.time() - age, time.time() - age))
    kept(cache, b"b", tmp_path / "s")
    assert {path.name for path in (tmp_path / "cache").glob(".partial-*")} == {".partial-young"}


def test_a_folder_that_cannot_be_used_costs_nothing_but_time(s3_home: S3Home, tmp_path: Path):
    (tmp_path / "cache").write_text("not a folder")
    store = SealedStore(S3Shelf(s3_home), cache=Cache(tmp_path / "cache", 10**9))
    sealed = seal(store, folder_of(tmp_path / "output", FILES))
    assert contents(store.fetch(sealed, tmp_path / "fetched")) == FILES


def test_many_processes_share_a_cache_that_is_too_small_for_them(tmp_path: Path):
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        assert sum(pool.starmap(use, [(tmp_path, seed) for seed in range(3)])) > 0
    assert sum(path.stat().st_size for path in (tmp_path / "cache").iterdir()) <= 5000


def use(folder: Path, seed: int) -> int:
    """How often the cache had what was asked for; what it hands out is right each time."""
    cache, scratch, hits = Cache(folder / "cache", 5000), folder / f"process-{seed}", 0
    for number in range(100):
        content = bytes([number % 10]) * 1000
        file = kept(cache, content, scratch)
        if cache.take(file, scratch / "taken"):
            assert (scratch / "taken").read_bytes() == content
            hits += 1
    return hits


def test_the_cache_lies_where_the_home_or_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    home = S3Home(bucket="bucket")
    for asked, folder in (
        (home, tmp_path / "xdg" / "effreason" / "artifacts"),
        (home.model_copy(update={"cache_folder": str(tmp_path / "own")}), tmp_path / "own"),
    ):
        cache = cache_of(asked)
        assert cache is not None
        file = kept(cache, b"content", tmp_path / "s")
        assert (folder / file.sha256).read_bytes() == b"content"
    assert cache_of(home.model_copy(update={"cache_bytes": 0})) is None
