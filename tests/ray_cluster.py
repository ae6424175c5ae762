"""A Ray cluster of this machine's own, in a network namespace whose only interface is the loopback.

Ray listens on every interface that it finds. A namespace without others keeps it from all that is outside, and has
ports of its own; whatever talks to the cluster has to run inside.
"""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import pytest

ADDRESS = "127.0.0.1:6399"
OBJECT_STORE_BYTES = 80_000_000
ROOT = Path(__file__).parent.parent
SETTINGS = {
    "RAY_AUTH_MODE": "disabled",  # nothing but the test is in the namespace
    "RAY_USAGE_STATS_ENABLED": "0",
    "PYTHONPATH": str(ROOT),
}


def needs_ray() -> None:
    """Skip where Ray is not installed, or where this user may make no network namespace."""
    pytest.importorskip("ray")
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces are for root, with the program ip")


class RayCluster:
    """Made by tests, as a context manager; everything in its namespace is dead afterwards."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """`environment` is that of its nodes, and so of the steps on them."""
        self._name = f"effreason-{secrets.token_hex(4)}"
        self._folder = tempfile.TemporaryDirectory(prefix="ray-")  # short, for the sockets in it
        self._environment = {**os.environ, **SETTINGS, **environment}

    def __enter__(self) -> Self:
        subprocess.run(["ip", "netns", "add", self._name], check=True)
        self.run(["ip", "link", "set", "lo", "up"])
        return self

    def __exit__(self, *_: object) -> None:
        for pid in self.pids():
            os.kill(pid, signal.SIGKILL)
        while self.pids():
            time.sleep(0.05)
        subprocess.run(["ip", "netns", "delete", self._name], check=True)
        self._folder.cleanup()

    def start_node(self, gpus: Sequence[int], head: bool = False) -> int:
        """Start a raylet with made-up GPUs of these numbers; the number of its process."""
        before = set(self._raylets())
        where = [f"--port={ADDRESS.rpartition(':')[2]}", "--head"] if head else [f"--address={ADDRESS}"]
        sizes = [f"--num-gpus={len(gpus)}", f"--num-cpus={len(gpus) + 1}"]
        memory = [f"--object-store-memory={OBJECT_STORE_BYTES}"]
        place = [f"--temp-dir={self._folder.name}", "--include-dashboard=false"] if head else []
        seen = {"CUDA_VISIBLE_DEVICES": ",".join(map(str, gpus))}
        ray = str(Path(sys.executable).with_name("ray"))
        command = [ray, "start", "--node-ip-address=127.0.0.1", *where, *sizes, *memory, *place]
        self.run(command, seen)
        (new,) = set(self._raylets()) - before
        return new

    def run(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        """Run a program inside, to its end."""
        process = self.begin(command, environment or {}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output

    def begin(
        self, command: Sequence[str], environment: Mapping[str, str], **streams: object
    ) -> "subprocess.Popen[str]":
        """Start a program inside."""
        inside = ["ip", "netns", "exec", self._name, *command]  # becomes the command itself
        return subprocess.Popen(inside, env={**self._environment, **environment}, **streams)  # type: ignore[call-overload]

    def pids(self) -> list[int]:
        """Of all processes inside."""
        told = subprocess.run(["ip", "netns", "pids", self._name], check=True, capture_output=True, text=True)
        return [int(pid) for pid in told.stdout.split()]

    def _raylets(self) -> list[int]:
        return [pid for pid in self.pids() if _program(pid) == "raylet"]


def _program(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""
