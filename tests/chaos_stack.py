"""What the chaos run stands on: a Prefect server, an S3 server and a worker, each started again whenever it dies.

Steps and flow runs are not started again here: that is for the pipeline.
"""

import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect_fixtures import ask
from s3_server import BUCKET, SeaweedFS, free_ports, make_bucket, wait_for_answer, within

from tasks.local.server import TRACKING_OFF, Server

ROOT = Path(__file__).parent.parent
DEPLOYMENT = "full-sweep/full-sweep"
ENTRYPOINT = "chaos_sweep.full_sweep"


@dataclass
class Daemon:
    """A program that is to run for ever, in a session of its own."""

    command: list[str]
    environment: Mapping[str, str]
    log: Path
    answers_at: str | None = None
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, cwd=ROOT, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        if self.answers_at:
            wait_for_answer(self.answers_at, self.process, self.log)

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def is_dead(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def end(self) -> None:
        if not self.is_dead():
            os.killpg(self.pid, signal.SIGKILL)
            self.process.wait()


class Store(SeaweedFS):
    """`SeaweedFS` as a daemon."""

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_dead(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def end(self) -> None:
        self.kill()


class Stack:
    """The three, and the supervisor that keeps them up."""

    def __init__(self, folder: Path, logs: Path, mark: str) -> None:
        """`mark` is in the environment of every process of a run; what the daemons say is kept in `logs`."""
        self.folder = folder
        self.trace = folder / "trace.jsonl"
        self.store = Store(folder / "s3")
        (port,) = free_ports(1)
        self.api = Server(pid=0, port=port)
        self.environment = {
            **os.environ,
            **TRACKING_OFF,
            **self.store.environment,
            "CHAOS_MARK": mark,
            "CHAOS_TRACE": str(self.trace),
            "EFFREASON_DIRECTORY": str(folder),
            "EFFREASON_LEASES": str(folder / "leases"),
            "OMP_NUM_THREADS": "1",
            "PREFECT_API_URL": self.api.api,
            "PREFECT_HOME": str(folder / "prefect"),
            "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
            "PREFECT_WORKER_QUERY_SECONDS": "2",
            "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}",
        }
        python = [sys.executable, "-m"]
        served = [*python, "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
        self.server = Daemon(served, self._bare(), logs / "chaos-server.log", f"{self.api.api}/health")
        self.worker = Daemon([*python, "infra.worker"], self.environment, logs / "chaos-worker.log")
        self._over = threading.Event()

    def _bare(self) -> dict[str, str]:
        """The server is no process of a run."""
        return {
            name: value for name, value in self.environment.items() if name not in ("CHAOS_MARK", "PREFECT_API_URL")
        }

    def start(self) -> None:
        for name in ("s3", "leases"):
            (self.folder / name).mkdir(parents=True)
        self.store.start()
        make_bucket(self.store, BUCKET)
        self.server.start()
        self.run(sys.executable, "-m", "infra.deploy")
        deployment = self.ask(f"/deployments/name/{DEPLOYMENT}")
        self._patch(f"/deployments/{deployment['id']}", f'{{"entrypoint": "{ENTRYPOINT}"}}')
        self._supervisor = threading.Thread(target=self._supervise, daemon=True)
        self._supervisor.start()

    def end(self) -> None:
        self._over.set()
        self._supervisor.join()
        for daemon in (self.worker, self.server, self.store):
            daemon.end()

    def run(self, *command: str) -> str:
        done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return done.stdout

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """The answer of the Prefect server; one that is being started again is waited for."""
        for _ in within(seconds=120):
            try:
                return ask(self.api, path, body)
            except (urllib.error.URLError, OSError) as error:
                failure = error
                time.sleep(0.5)
        raise failure

    def _patch(self, path: str, body: str) -> None:
        request = urllib.request.Request(  # noqa: S310
            self.api.api + path, body.encode(), {"Content-Type": "application/json"}, method="PATCH"
        )
        with urllib.request.urlopen(request, timeout=30):  # noqa: S310
            pass

    def _supervise(self) -> None:
        while not self._over.wait(0.5):
            for daemon in (self.store, self.server, self.worker):
                if daemon.is_dead():
                    daemon.start()


@contextmanager
def stack(folder: Path, logs: Path, mark: str) -> Iterator[Stack]:
    """A stack that runs, and is gone when the block is left."""
    made = Stack(folder, logs, mark)
    try:
        made.start()
        yield made
    finally:
        made.end()
