"""What every store promises, tried on a folder and on a real S3 server."""

import io
import multiprocessing
import os
import resource
import secrets
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ConnectionClosedError
from hypothesis import given
from hypothesis import strategies as st
from made_up_artifact import FILES, PROVENANCE, contents, folder_of, problems, seal, spec
from pydantic import ValidationError
from s3_server import BUCKET, free_ports, seaweedfs
from store_fixtures import fresh_home
from urllib3 import HTTPResponse

from effreason.artifacts import Manifest, StoredFile
from effreason.choices import FolderHome, Home, S3Home
from effreason.errors import EffreasonError, StepFailure, UserError
from effreason.store import Store, open_store
from effreason.store.folder import FolderShelf, FolderStore
from effreason.store.s3 import S3Shelf, S3Store
from effreason.store.sealing import SealedStore
from effreason.store.server import Transfer
from effreason.store.shelf import Damaged, Shelf, Unreachable

IMPATIENT = Transfer(first_patience_seconds=1.0, patience_seconds=2.0)


# ------------------------------------------------------------------------------------------ where it goes


SERVERS = ["s3_server", pytest.param("rgw_server", marks=pytest.mark.slow)]


@pytest.fixture(params=SERVERS)
def s3_home(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> S3Home:
    return fresh_home(request.getfixturevalue(request.param), monkeypatch)


@pytest.fixture(params=["folder", *SERVERS])
def home(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    if request.param == "folder":
        return FolderHome(path=str(tmp_path / "store"))
    return fresh_home(request.getfixturevalue(request.param), monkeypatch)


@pytest.fixture
def shelf(home: Home) -> Shelf:
    return shelf_of(home)


@pytest.fixture
def store(shelf: Shelf) -> Store:
    return SealedStore(shelf)


def shelf_of(home: Home) -> Shelf:
    return FolderShelf(Path(home.path)) if isinstance(home, FolderHome) else S3Shelf(home)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return folder_of(tmp_path / "output", FILES)


class BreakingShelf:
    """A shelf that breaks in place of its n-th write."""

    def __init__(self, shelf: Shelf, sound_writes: int, breaking: Callable[[], None]) -> None:
        self._shelf = shelf
        self._sound_writes = sound_writes
        self._breaking = breaking

    def __getattr__(self, name: str) -> Any:
        if name in {"put", "write", "write_first"}:
            if self._sound_writes == 0:
                self._breaking()
            self._sound_writes -= 1
        return getattr(self._shelf, name)


class PowerCut(BaseException):
    """Nobody catches this."""


def cut_power() -> None:
    raise PowerCut


def fail() -> None:
    raise StepFailure("The shelf fell down.", "Put it up again.")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


# --------------------------------------------------------------------------------- finding what was sealed


def test_what_was_sealed_is_found_and_fetched_unchanged(store: Store, shelf: Shelf, output: Path, tmp_path: Path):
    sealed = seal(store, output)
    assert store.find(spec().address) == sealed
    assert sealed.artifact == problems() and sealed.spec == spec() and sealed.provenance == PROVENANCE
    assert contents(store.fetch(sealed, tmp_path / "fetched")) == FILES
    assert store.verify(sealed) == []


def test_what_was_not_sealed_is_not_found(store: Store):
    assert store.find(spec().address) is None
    assert list(store.addresses()) == []


def test_every_sealed_address_is_listed_in_order(store: Store, output: Path):
    sealed = [seal(store, output, seed).address for seed in range(4)]
    assert list(store.addresses()) == sorted(sealed)


def test_no_key_is_the_beginning_of_another(store: Store, shelf: Shelf, output: Path):
    seal(store, output)
    store.save_working(spec().address, "step-1", output)
    keys = [*shelf.keys("prepare"), *shelf.keys("working")]
    assert len(keys) == 2 * (len(FILES) + 1)
    assert not any(longer.startswith(f"{key}/") for key in keys for longer in keys)


def test_a_part_is_fetched_alone(store: Store, output: Path, tmp_path: Path):
    fetched = store.fetch(seal(store, output), tmp_path / "fetched", only=["model/", "empty"])
    assert set(contents(fetched)) == {"model/config.json", "model/deep/er/weights", "empty"}


def test_a_large_file_arrives_whole(store: Store, tmp_path: Path):
    large = {"weights": secrets.token_bytes(40_000_001)}
    sealed = seal(store, folder_of(tmp_path / "output", large))
    assert contents(store.fetch(sealed, tmp_path / "fetched")) == large


def test_an_artifact_without_files_can_be_sealed(store: Store, tmp_path: Path):
    (tmp_path / "nothing").mkdir()
    assert store.fetch(seal(store, tmp_path / "nothing"), tmp_path / "fetched").is_dir()


# ------------------------------------------------------------------------------------ seals that are cut off


@pytest.mark.parametrize("sound_writes", range(len(FILES) + 1))
def test_nothing_is_visible_of_a_seal_that_was_cut_off(shelf: Shelf, output: Path, sound_writes: int):
    with pytest.raises(PowerCut):
        seal(SealedStore(BreakingShelf(shelf, sound_writes, cut_power)), output)
    store = SealedStore(shelf)
    assert store.find(spec().address) is None and list(store.addresses()) == []
    assert_sealed_cleanly(shelf, seal(store, output))


@pytest.mark.parametrize("sound_writes", [0, 2, len(FILES)])
def test_a_seal_that_fails_leaves_nothing_behind(shelf: Shelf, output: Path, sound_writes: int):
    with pytest.raises(StepFailure, match="fell down"):
        seal(SealedStore(BreakingShelf(shelf, sound_writes, fail)), output)
    assert list(shelf.keys("prepare")) == []


def test_a_killed_process_leaves_nothing_visible_and_the_next_seal_tidies_up(home: Home, output: Path):
    process = multiprocessing.get_context("spawn").Process(target=seal_and_die, args=(home, output))
    process.start()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL
    shelf, store = shelf_of(home), open_store(home)
    assert len(list(shelf.keys(spec().address))) == 2
    assert store.find(spec().address) is None
    assert_sealed_cleanly(shelf, seal(store, output))


def seal_and_die(home: Home, output: Path) -> None:
    seal(SealedStore(BreakingShelf(shelf_of(home), 2, die)), output)


def assert_sealed_cleanly(shelf: Shelf, sealed: Manifest) -> None:
    assert SealedStore(shelf).verify(sealed) == []
    files = {f"{sealed.address}/{sealed.attempt}/{path}" for path in FILES}
    assert set(shelf.keys(sealed.address)) == files | {f"{sealed.address}/manifest.json"}


# ---------------------------------------------------------------------------------------- writers side by side


def test_of_many_threads_sealing_one_address_one_manifest_stands(home: Home, output: Path):
    start = threading.Barrier(4)

    def writer(_: int) -> Manifest:
        store = open_store(home)
        start.wait(30)
        return seal(store, output)

    with ThreadPoolExecutor(4) as pool:
        sealed = list(pool.map(writer, range(4)))
    assert len({manifest.attempt for manifest in sealed}) == 1
    assert_sealed_cleanly(shelf_of(home), sealed[0])


def test_of_many_processes_sealing_one_address_one_manifest_stands(home: Home, output: Path):
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        attempts = pool.starmap(seal_in_a_process, [(home, output, number) for number in range(4)], chunksize=1)
    assert len(set(attempts)) == 1
    assert open_store(home).verify(open_store(home).find(spec().address)) == []


def seal_in_a_process(home: Home, output: Path, number: int) -> str:
    """A writer whose file is its own, as two trainings on different machines never agree to the last bit."""
    mine = folder_of(output.parent / f"output-{number}", {**FILES, "train.jsonl": f"{number}".encode()})
    sealed = seal(open_store(home), mine)
    assert open_store(home).verify(sealed) == []
    return sealed.attempt


def test_writers_of_different_addresses_do_not_meet(home: Home, output: Path):
    with ThreadPoolExecutor(4) as pool:
        sealed = list(pool.map(lambda seed: seal(open_store(home), output, seed), range(4)))
    assert list(open_store(home).addresses()) == sorted(manifest.address for manifest in sealed)


def test_where_conditions_are_ignored_whatever_manifest_stands_is_whole(home: Home, output: Path):
    class Careless(type(shelf_of(home))):  # type: ignore[misc]
        exclusive = False

    place = Path(home.path) if isinstance(home, FolderHome) else home
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: seal(SealedStore(Careless(place)), output), range(4)))
    store = open_store(home)
    assert store.verify(store.find(spec().address)) == []


def test_both_homes_are_known_to_let_one_writer_through(shelf: Shelf):
    assert shelf.exclusive


def test_listings_longer_than_a_page_are_read_to_the_end(s3_home: S3Home, output: Path):
    sealed = sorted(seal(S3Store(s3_home), output, seed).address for seed in range(2))
    shelf = S3Shelf(s3_home)
    shelf.client.meta.events.register("provide-client-params.s3.ListObjectsV2", ask_for_short_pages)
    assert list(SealedStore(shelf).addresses()) == sealed
    assert len(list(shelf.keys("prepare"))) == 2 * (len(FILES) + 1)


def ask_for_short_pages(params: dict[str, Any], **_: object) -> dict[str, Any]:
    return {**params, "MaxKeys": 3}


def test_a_server_that_ignores_conditions_is_known_by_it(s3_home: S3Home):
    shelf = S3Shelf(s3_home)
    shelf.client.meta.events.register("before-call.s3.PutObject", forget_the_condition)
    assert not shelf.exclusive
    assert list(shelf.keys("working")) == []


def forget_the_condition(params: dict[str, Any], **_: object) -> None:
    params["headers"].pop("If-None-Match", None)


# ---------------------------------------------------------------------------------------------------- damage


@pytest.mark.parametrize(
    ("content", "sentence"), [(b"{?\n" * 50, "differs from its SHA-256"), (b"{}", "has 2 bytes instead of 150")]
)
def test_a_file_that_was_altered_is_never_handed_out(
    store: Store, shelf: Shelf, output: Path, tmp_path: Path, content: bytes, sentence: str
):
    sealed = seal(store, output)
    shelf.write(f"{sealed.address}/{sealed.attempt}/train.jsonl", content)
    assert store.verify(sealed) == [f"In {sealed.address}, train.jsonl {sentence}."]
    with pytest.raises(Damaged) as caught:
        store.fetch(sealed, tmp_path / "fetched")
    assert sealed.address in caught.value.happened and f"train.jsonl {sentence}" in caught.value.happened
    assert "effreason artifacts verify" in caught.value.remedy and shelf.where(sealed.address) in caught.value.remedy
    assert not (tmp_path / "fetched").exists()


def test_a_file_that_is_missing_is_named(store: Store, shelf: Shelf, output: Path, tmp_path: Path):
    sealed = seal(store, output)
    shelf.clear(f"{sealed.address}/{sealed.attempt}/model")
    assert len(store.verify(sealed)) == 2
    with pytest.raises(Damaged, match=r"model/config\.json is missing"):
        store.fetch(sealed, tmp_path / "fetched")
    assert contents(store.fetch(sealed, tmp_path / "fetched", only=["train"])) == {"train.jsonl": FILES["train.jsonl"]}


@pytest.mark.parametrize("path", ["../escaped", "/tmp/escaped", "model/../../escaped"])  # noqa: S108
def test_a_manifest_whose_paths_lead_outside_is_refused(store: Store, shelf: Shelf, output: Path, path: str):
    sealed = seal(store, output)
    shelf.write(f"{sealed.address}/manifest.json", sealed.model_dump_json().replace("train.jsonl", path).encode())
    with pytest.raises(Damaged, match=sealed.address):
        store.find(sealed.address)


@given(st.lists(st.sampled_from(["..", ".", "", "a", "b.c", "\\", "\0", "...", " "]), max_size=5).map("/".join))
def test_a_path_that_a_manifest_may_name_stays_inside(path: str):
    try:
        accepted = StoredFile(path=path, size=0, sha256="0" * 64).path
    except ValidationError:
        return
    assert os.path.normpath(f"/root/{accepted}") == f"/root/{accepted}"


def test_a_manifest_that_is_garbage_or_of_another_artifact_is_damage(store: Store, shelf: Shelf, output: Path):
    one, other = seal(store, output, 1), seal(store, output, 2)
    shelf.write(f"{one.address}/manifest.json", other.model_dump_json().encode())
    shelf.write(f"{other.address}/manifest.json", b'{"schema_version": 1')
    for address in (one.address, other.address):
        with pytest.raises(Damaged, match=address):
            store.find(address)


# ----------------------------------------------------------------------------------------------- checkpoints


def checkpoint(folder: Path, step: int) -> Path:
    return folder_of(folder / f"checkpoint-{step}", {"step": str(step).encode(), "optimiser/state": b"s" * step})


def test_the_newest_checkpoint_is_loaded_and_the_older_ones_are_gone(store: Store, shelf: Shelf, tmp_path: Path):
    address = spec().address
    assert store.load_working(address, tmp_path / "loaded") is None
    for step in (10, 20, 30):
        store.save_working(address, f"step-{step}", checkpoint(tmp_path, step))
    assert store.load_working(address, tmp_path / "loaded") == "step-30"
    assert contents(tmp_path / "loaded") == contents(tmp_path / "checkpoint-30")
    assert all("/step-30/" in key for key in shelf.keys("working"))
    assert store.find(address) is None and list(store.addresses()) == []


@pytest.mark.parametrize("sound_writes", [0, 1, 2])
def test_a_half_written_checkpoint_is_invisible_and_the_last_good_one_kept(
    shelf: Shelf, tmp_path: Path, sound_writes: int
):
    store, address = SealedStore(shelf), spec().address
    store.save_working(address, "step-10", checkpoint(tmp_path, 10))
    with pytest.raises(PowerCut):
        broken = SealedStore(BreakingShelf(shelf, sound_writes, cut_power))
        broken.save_working(address, "step-20", checkpoint(tmp_path, 20))
    assert store.load_working(address, tmp_path / "loaded") == "step-10"
    assert contents(tmp_path / "loaded") == contents(tmp_path / "checkpoint-10")
    store.save_working(address, "step-30", checkpoint(tmp_path, 30))
    assert {key.split("/")[3] for key in shelf.keys("working")} == {"step-30"}


def test_a_checkpoint_that_fails_leaves_only_the_last_good_one(shelf: Shelf, tmp_path: Path):
    address = spec().address
    SealedStore(shelf).save_working(address, "step-10", checkpoint(tmp_path, 10))
    with pytest.raises(StepFailure, match="fell down"):
        SealedStore(BreakingShelf(shelf, 1, fail)).save_working(address, "step-20", checkpoint(tmp_path, 20))
    assert all("/step-10/" in key for key in shelf.keys("working"))


def test_a_checkpoint_saved_again_replaces_itself(store: Store, shelf: Shelf, tmp_path: Path):
    address = spec().address
    for step in (1, 2):
        store.save_working(address, "step-same", checkpoint(tmp_path, step))
    assert store.load_working(address, tmp_path / "loaded") == "step-same"
    assert contents(tmp_path / "loaded") == contents(tmp_path / "checkpoint-2")
    assert len(list(shelf.keys("working"))) == 3


def test_a_damaged_checkpoint_counts_as_none(store: Store, shelf: Shelf, tmp_path: Path):
    address = spec().address
    store.save_working(address, "step-20", checkpoint(tmp_path, 20))
    store.save_working(address, "step-10", checkpoint(tmp_path, 10))
    damaged = next(key for key in shelf.keys("working") if key.endswith("state") and "/step-20/" in key)
    shelf.write(damaged, b"t" * 20)
    assert store.load_working(address, tmp_path / "loaded") == "step-10"
    assert contents(tmp_path / "loaded") == contents(tmp_path / "checkpoint-10")


def test_checkpoints_are_forgotten_without_touching_others(store: Store, shelf: Shelf, tmp_path: Path):
    for seed in (1, 2):
        store.save_working(spec(seed).address, "step-10", checkpoint(tmp_path, 10))
    store.clear_working(spec(1).address)
    assert store.load_working(spec(1).address, tmp_path / "loaded") is None
    assert store.load_working(spec(2).address, tmp_path / "loaded") == "step-10"
    store.clear_working(spec(1).address)


# ------------------------------------------------------------------------------------- folders that are full


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte; mounting needs root."""
    if os.geteuid() != 0:
        pytest.skip("mounting a tmpfs needs root; the file-size limit below stands in")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no tmpfs here: {mounted.stderr.strip()}; the file-size limit below stands in")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


def test_a_full_disk_is_one_clear_sentence_and_loses_nothing(tiny_disk: Path, output: Path, tmp_path: Path):
    store = FolderStore(tiny_disk / "store")
    earlier = seal(store, output)
    large = folder_of(tmp_path / "large", {"a": b"a" * 700_000, "b": b"b" * 700_000})
    with pytest.raises(StepFailure, match="no room left") as caught:
        seal(store, large, seed=1)
    assert "\n" not in str(caught.value) and str(tiny_disk) in str(caught.value)
    assert list(store.addresses()) == [earlier.address] and store.verify(earlier) == []
    (large / "b").unlink()
    assert store.verify(seal(store, large, seed=1)) == []


def test_a_checkpoint_that_does_not_fit_leaves_the_last_good_one(tiny_disk: Path, tmp_path: Path):
    store, address = FolderStore(tiny_disk / "store"), spec().address
    store.save_working(address, "step-10", checkpoint(tmp_path, 10))
    with pytest.raises(StepFailure, match="no room left"):
        store.save_working(address, "step-20", folder_of(tmp_path / "large", {"state": b"s" * 2_000_000}))
    assert store.load_working(address, tmp_path / "loaded") == "step-10"


def test_a_full_disk_under_the_fetched_files_is_named(tiny_disk: Path, tmp_path: Path):
    store = FolderStore(tmp_path / "store")
    sealed = seal(store, folder_of(tmp_path / "large", {"a": b"a" * 2_000_000}))
    with pytest.raises(StepFailure, match="no room left"):
        store.fetch(sealed, tiny_disk / "fetched")
    assert list(tiny_disk.iterdir()) == []


def test_a_file_size_limit_is_answered_like_a_full_disk(tmp_path: Path):
    folder_of(tmp_path / "large", {"a": b"a" * 700_000})
    process = multiprocessing.get_context("spawn").Process(target=seal_within_a_limit, args=(tmp_path,))
    process.start()
    process.join(30)
    assert process.exitcode == 0


def seal_within_a_limit(folder: Path) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
    store = FolderStore(folder / "store")
    with pytest.raises(StepFailure, match="no room left"):
        seal(store, folder / "large")
    assert contents(folder / "store") == {}


def test_a_store_that_is_a_file_is_the_users_mistake(output: Path, tmp_path: Path):
    (tmp_path / "store").write_text("not a folder")
    for use in (lambda store: store.find(spec().address), lambda store: seal(store, output)):
        with pytest.raises(UserError, match="not a folder"):
            use(FolderStore(tmp_path / "store"))


# --------------------------------------------------------------------------------------- servers that fail


def test_an_endpoint_where_nobody_listens_is_reported_soon(s3_home: S3Home):
    (port,) = free_ports(1)
    nowhere = s3_home.model_copy(update={"endpoint": f"http://127.0.0.1:{port}"})
    began = time.monotonic()
    with pytest.raises(Unreachable, match=f"127.0.0.1:{port} did not answer for [01] seconds"):
        S3Store(nowhere, IMPATIENT).find(spec().address)
    assert time.monotonic() - began < 5


def test_what_the_user_got_wrong_is_said_at_once_and_no_secret_with_it(
    s3_home: S3Home,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
):
    planted = "planted-secret"
    with_password = str(s3_home.endpoint).replace("http://", f"http://somebody:{planted}@")

    def sentence(**changes: str) -> str:
        with pytest.raises(UserError) as caught:
            S3Store(s3_home.model_copy(update=changes)).find(spec().address)
        assert planted not in "".join(traceback.format_exception(caught.value)) + caplog.text
        return str(caught.value)

    caplog.set_level("INFO")
    assert "There is no bucket not-there" in sentence(bucket="not-there")
    assert "no bucket" in sentence(bucket="not-there", endpoint=with_password)
    assert "cannot be used as configured" in sentence(bucket="not/a/bucket")
    assert "not a URL" in sentence(endpoint=f"nonsense {planted}")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", planted)
    assert "refused the credentials" in sentence()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    assert "NoCredentialsError" in sentence()
    monkeypatch.setenv("AWS_PROFILE", "not-there")
    assert "ProfileNotFound" in sentence()


@pytest.mark.parametrize(
    ("status", "code", "kind", "sentence"),
    [
        (507, "InsufficientStorage", StepFailure, "is full"),
        (403, "QuotaExceeded", StepFailure, "is full"),
        (403, "AccessDenied", UserError, "refused the credentials"),
        (400, "ExpiredToken", UserError, "refused the credentials"),
        (400, "AuthorizationHeaderMalformed", UserError, "is in another region"),
        (405, "MethodNotAllowed", StepFailure, "refused a request"),
        (500, "InternalError", StepFailure, "answered InternalError for"),
        (503, "SlowDown", StepFailure, "answered SlowDown for"),
    ],
)
def test_every_refusal_of_a_server_is_one_clear_sentence(
    s3_home: S3Home,
    output: Path,
    status: int,
    code: str,
    kind: type[EffreasonError],
    sentence: str,
):
    shelf = S3Shelf(s3_home, IMPATIENT)
    body = f"<Error><Code>{code}</Code><Message>planted-secret</Message></Error>".encode()

    def refuse(request: Any, **_: object) -> AWSResponse:
        return AWSResponse(request.url, status, {}, HTTPResponse(io.BytesIO(body), preload_content=False))

    shelf.client.meta.events.register("before-send.s3.PutObject", refuse)
    with pytest.raises(kind, match=sentence) as caught:
        seal(SealedStore(shelf), output)
    assert "\n" not in str(caught.value) and "planted-secret" not in str(caught.value)
    shelf.client.meta.events.unregister("before-send.s3.PutObject", refuse)
    assert SealedStore(shelf).find(spec().address) is None and list(shelf.keys("prepare")) == []


def test_no_lost_reply_harms_a_seal(s3_home: S3Home, tmp_path: Path):
    shelf, calls = S3Shelf(s3_home), Counter[str]()

    def lose_every_other_reply(model: Any, **_: object) -> None:
        calls[model.name] += 1
        if calls[model.name] % 2:
            raise ConnectionClosedError(endpoint_url="http://lost")

    shelf.client.meta.events.register("after-call.s3", lose_every_other_reply)
    files = {"large": secrets.token_bytes(17 << 20), "small": b"small"}
    sealed = seal(SealedStore(shelf), folder_of(tmp_path / "output", files))
    assert {"CompleteMultipartUpload", "UploadPart", "PutObject"} <= set(calls)
    assert S3Store(s3_home).verify(sealed) == []
    assert set(S3Shelf(s3_home).keys("prepare")) == {
        f"{sealed.address}/manifest.json",
        f"{sealed.address}/{sealed.files[0].sha256[:16]}/large",
        f"{sealed.address}/{sealed.attempt}/small",
    }


def test_an_upload_that_is_gone_because_it_was_completed_counts(s3_home: S3Home, tmp_path: Path):
    shelf = S3Shelf(s3_home)

    def say_gone(http_response: Any, parsed: dict[str, Any], **_: object) -> None:
        http_response.status_code = 404
        parsed["Error"] = {"Code": "NoSuchUpload"}

    shelf.client.meta.events.register("after-call.s3.CompleteMultipartUpload", say_gone)
    sealed = seal(SealedStore(shelf), folder_of(tmp_path / "output", {"large": bytes(17 << 20)}))
    assert S3Store(s3_home).verify(sealed) == []


def test_a_seal_outlasts_the_death_and_return_of_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with seaweedfs(tmp_path / "server") as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        shelf = S3Shelf(S3Home(bucket=BUCKET, prefix="tests", endpoint=server.endpoint), Transfer(part_bytes=5 << 20))
        parts = Counter[str]()

        def die_in_the_middle(**_: object) -> None:
            parts["sent"] += 1
            if parts["sent"] == 4:
                server.kill()
                threading.Thread(target=server.start).start()

        shelf.client.meta.events.register("before-send.s3.UploadPart", die_in_the_middle)
        large = {"weights": secrets.token_bytes(40 << 20)}
        sealed = seal(SealedStore(shelf), folder_of(tmp_path / "output", large))
        assert parts["sent"] > 8
        assert contents(SealedStore(shelf).fetch(sealed, tmp_path / "fetched")) == large


def test_a_folder_store_needs_no_boto3():
    code = "import sys, effreason.store.folder; sys.exit('boto3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
