"""A real Prometheus for the tests: the one on the PATH, or Debian's package, unpacked and not installed."""

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from s3_server import free_ports


def programs(folder: Path) -> Path:
    """Where `prometheus` and `promtool` are; the test is skipped where they are not to be had."""
    found = shutil.which("prometheus")
    if found:
        return Path(found).parent
    if shutil.which("apt-get") is None:
        pytest.skip("prometheus not found; install it")
    got = subprocess.run(["apt-get", "-qq", "download", "prometheus"], cwd=folder, capture_output=True, text=True)
    packages = list(folder.glob("prometheus_*.deb"))
    if not packages:
        pytest.skip(f"Debian's prometheus cannot be had: {got.stderr.strip()[-200:]}")
    subprocess.run(["dpkg-deb", "-x", packages[0], folder / "unpacked"], check=True)
    return folder / "unpacked" / "usr" / "bin"


class Prometheus:
    """One server, scraping."""

    def __init__(self, port: int) -> None:
        self._api = f"http://127.0.0.1:{port}/api/v1"

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an instant query. Raises `AssertionError` with Prometheus's words where it has a mistake."""
        address = f"{self._api}/query?{urllib.parse.urlencode({'query': expression})}"
        try:
            with urllib.request.urlopen(address, timeout=30) as answer:  # noqa: S310
                result: list[dict[str, Any]] = json.load(answer)["data"]["result"]
                return result
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{expression}: {error.read().decode()}") from error

    def ready(self) -> bool:
        try:
            return bool(self.query("vector(1)"))
        except (OSError, AssertionError):
            return False


@contextmanager
def prometheus(binaries: Path, configuration: Path, folder: Path) -> Iterator[Prometheus]:
    """Run with this configuration file, on loopback."""
    (port,) = free_ports(1)
    command = [
        binaries / "prometheus", f"--config.file={configuration}", f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    with (folder / "prometheus.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            server, deadline = Prometheus(port), time.monotonic() + 60
            while not server.ready():
                assert process.poll() is None and time.monotonic() < deadline, (folder / "prometheus.log").read_text()
                time.sleep(0.2)
            yield server
        finally:
            process.kill()
