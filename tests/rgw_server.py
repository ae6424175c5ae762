"""A real Ceph RADOS Gateway on loopback for the tests: one monitor, one OSD in memory, one gateway; no root needed."""

import os
import secrets
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from s3_server import BUCKET, free_ports, make_bucket, wait_for_answer

PROGRAMS = ("ceph", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")


class RadosGateway:
    """A cluster of one machine with its own folder, ports and credentials."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.access_key, self.secret_key = secrets.token_hex(8), secrets.token_hex(20)
        self._monitor_port, self._port = free_ports(2)
        self.endpoint = f"http://127.0.0.1:{self._port}"
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def environment(self) -> dict[str, str]:
        """What a client of this server needs in its environment."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def start(self) -> None:
        """Monitor, OSD, user, gateway; returns when it answers."""
        cluster, osd = str(uuid.uuid4()), str(uuid.uuid4())
        for name in ("mon", "osd", "run"):
            (self.folder / name).mkdir()
        self._configuration.write_text(self._settings(cluster))
        monitors = str(self.folder / "monmap")
        self._run(
            "monmaptool", "--create", "--fsid", cluster, "--addv", "a", f"[v2:127.0.0.1:{self._monitor_port}]", monitors
        )
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", monitors)
        self._serve("ceph-mon", "-f", "-i", "a")
        self._run("ceph", "osd", "new", osd)
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        self._serve("ceph-osd", "-f", "-i", "0")
        keys = (f"--access-key={self.access_key}", f"--secret-key={self.secret_key}")
        self._run("radosgw-admin", "user", "create", "--uid=tests", "--display-name=tests", *keys)
        # The gateway sets an authentication of its own unless it is told so here.
        self._serve("radosgw", "-f", "--auth-client-required=none", "--ms-mon-client-mode=crc", "-n", "client.rgw")
        wait_for_answer(self.endpoint, self._processes[-1], self.folder / "log")

    def kill(self) -> None:
        for process in reversed(self._processes):
            process.kill()
            process.wait()

    @property
    def _configuration(self) -> Path:
        return self.folder / "ceph.conf"

    def _settings(self, cluster: str) -> str:
        return f"""
[global]
fsid = {cluster}
mon host = [v2:127.0.0.1:{self._monitor_port}]
public network = 127.0.0.0/8
auth cluster required = none
auth service required = none
auth client required = none
mon allow pool size one = true
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd crush chooseleaf type = 0
osd objectstore = memstore
memstore device bytes = 4294967296
mon data = {self.folder}/mon
osd data = {self.folder}/osd
run dir = {self.folder}/run
admin socket = {self.folder}/run/$name.asok
log file = {self.folder}/$name.log
mon cluster log file = {self.folder}/cluster.log
crash dir = {self.folder}/run
rgw frontends = beast endpoint=127.0.0.1:{self._port}
rgw data = {self.folder}/run
"""

    def _run(self, *command: str) -> None:
        name, *rest = command
        done = subprocess.run(
            [name, "-c", str(self._configuration), *rest] if name != "monmaptool" else command,
            cwd=self.folder, capture_output=True, text=True, timeout=60, env=self._environment,
        )  # fmt: skip
        assert done.returncode == 0, f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}"

    def _serve(self, *command: str) -> None:
        name, *rest = command
        with (self.folder / "log").open("ab") as log:
            command = (name, "-c", str(self._configuration), *rest)
            process = subprocess.Popen(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment
            )
        self._processes.append(process)

    @property
    def _environment(self) -> dict[str, str]:
        return {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin", "HOME": str(self.folder)}


@contextmanager
def rados_gateway(folder: Path) -> Iterator[RadosGateway]:
    """A running gateway with the bucket BUCKET; killed at the end."""
    server = RadosGateway(folder)
    try:
        server.start()
        make_bucket(server, BUCKET)
        yield server
    finally:
        server.kill()
