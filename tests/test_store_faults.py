"""A real server behind a bad network, killed, full, and over its quota: nothing is lost, nothing half-visible."""

import os
import secrets
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from made_up_artifact import contents, folder_of, seal, spec
from resetting_proxy import resetting_proxy
from s3_server import BUCKET, SeaweedFS, seaweedfs, within

from effreason.artifacts import Manifest
from effreason.choices import S3Home
from effreason.errors import StepFailure
from effreason.store.s3 import S3Shelf, S3Store
from effreason.store.sealing import SealedStore
from effreason.store.server import Transfer

pytestmark = pytest.mark.slow
IMPATIENT = Transfer(first_patience_seconds=5.0, patience_seconds=5.0)


def home_on(server: SeaweedFS, monkeypatch: pytest.MonkeyPatch) -> S3Home:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return S3Home(bucket=BUCKET, prefix="tests", endpoint=server.endpoint, cache_bytes=0)


def files(number: int) -> dict[str, bytes]:
    return {"a": f"{number}".encode() * 999, "b/c": secrets.token_bytes(5000)}


class Reader:
    """Looks at everything that is visible, again and again, until it is told to stop."""

    def __init__(self, store: SealedStore) -> None:
        self.faults: list[str] = []
        self.looks = 0
        self._store, self._over = store, threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> "Reader":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.5):
            for address in self._store.addresses():
                manifest = self._store.find(address)
                self.faults += ["vanished"] if manifest is None else self._store.verify(manifest)
            self.looks += 1


def test_200_operations_under_resets_and_a_restart_lose_nothing_and_show_nothing_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with seaweedfs(tmp_path / "server") as server, resetting_proxy(server.ports["s3.port"], share=0.02) as proxy:
        home = home_on(server, monkeypatch)
        store = S3Store(home.model_copy(update={"endpoint": proxy.endpoint}))
        sealed: list[Manifest] = []
        with Reader(S3Store(home)) as reader:
            for number in range(40):
                if number == 20:
                    server.kill()
                    threading.Timer(2.0, server.start).start()
                sealed.append(use(store, number, tmp_path / str(number)))
        assert reader.looks > 0 and reader.faults == []
        assert proxy.resets > 5 and proxy.resets > 0.01 * proxy.exchanges
        assert sorted(manifest.address for manifest in sealed) == list(S3Store(home).addresses())
        for number, manifest in enumerate(sealed):
            kept = S3Store(home).fetch(manifest, tmp_path / f"{number}" / "kept")
            assert contents(kept) == contents(tmp_path / f"{number}" / "output")


def use(store: SealedStore, number: int, folder: Path) -> Manifest:
    """Five operations, each of which must do what it says."""
    address, output = spec(number).address, folder_of(folder / "output", files(number))
    store.save_working(address, "step-1", output)
    assert store.load_working(address, folder / "loaded") == "step-1"
    sealed = seal(store, output, number)
    assert store.find(address) == sealed
    assert contents(store.fetch(sealed, folder / "fetched")) == contents(folder / "loaded") == contents(output)
    return sealed


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("mounting a file system of its own for the server needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=150m", "tmpfs", disk], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


def fill(store: SealedStore, folder: Path) -> tuple[list[Manifest], StepFailure, int]:
    """Seal artifacts of 20 MB until one is refused: those that stand, the failure, and the seed that failed."""
    sealed: list[Manifest] = []
    for seed in range(20):
        output = folder_of(folder / f"output-{seed}", {"weights": secrets.token_bytes(20_000_000), "small": b"s"})
        try:
            sealed.append(seal(store, output, seed))
        except StepFailure as failure:
            return sealed, failure, seed
    raise AssertionError("the server took more than it has room for")


def sealed_in_the_end(store: SealedStore, output: Path, seed: int) -> Manifest:
    """A server may take a while to see that there is room again."""
    for _ in within(seconds=120):
        try:
            return seal(store, output, seed)
        except StepFailure as failure:
            last = failure
    raise last


def assert_resumed(home: S3Home, sealed: list[Manifest], failed: int, folder: Path) -> None:
    """Nothing of the failed one is visible, all others are whole; it can be sealed when there is room."""
    store = SealedStore(S3Shelf(home, IMPATIENT))
    assert list(store.addresses()) == sorted(manifest.address for manifest in sealed)
    again = sealed_in_the_end(store, folder / f"output-{failed}", failed)
    for manifest in (*sealed, again):
        assert store.verify(manifest) == []


def test_a_full_disk_under_the_server_is_a_clear_error_and_the_seal_goes_on_when_there_is_room(
    small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with seaweedfs(small_disk / "server") as server:
        home = home_on(server, monkeypatch)
        sealed, failure, failed = fill(SealedStore(S3Shelf(home, IMPATIENT)), tmp_path)
        assert sealed and "a full disk or" in str(failure) and "\n" not in str(failure)
        subprocess.run(["mount", "-o", "remount,size=600m", small_disk], check=True)
        assert_resumed(home, sealed, failed, tmp_path)


def exhaust_quota(server: SeaweedFS) -> None:
    """Less than the bucket holds. The server learns what it holds from its volumes, which tell it every few seconds."""
    server.shell(f"s3.bucket.quota -name={BUCKET} -op=set -sizeMB=10")
    for _ in within(seconds=60):
        if "to read only" in (said := server.shell("lock", "s3.bucket.quota.enforce -apply", "unlock")):
            return
    raise AssertionError(f"the quota was not enforced: {said}")


def test_an_exhausted_quota_is_a_clear_error_and_the_seal_goes_on_when_it_is_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with seaweedfs(tmp_path / "server") as server:
        home = home_on(server, monkeypatch)
        store = SealedStore(S3Shelf(home, IMPATIENT))
        first = seal(store, folder_of(tmp_path / "first", {"weights": secrets.token_bytes(20_000_000)}), seed=99)
        exhaust_quota(server)
        sealed, failure, failed = fill(store, tmp_path)
        assert sealed == [] and "\n" not in str(failure)
        assert "an exhausted quota" in str(failure)
        server.shell(f"s3.bucket.quota -name={BUCKET} -op=remove")
        assert_resumed(home, [first], failed, tmp_path)
