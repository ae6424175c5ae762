"""The bucket of the stack, made on SeaweedFS, and by a server that refuses what MinIO's source refuses."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
import pytest
from s3_server import BUCKET, SeaweedFS, admin

from infra.compose import bucket

REFUSAL = "<Error><Code>{code}</Code><Message>{code}</Message></Error>"


class Refusing(BaseHTTPRequestHandler):
    """Takes every request but those of `refusals`, which it answers so many times with a status and a code."""

    protocol_version = "HTTP/1.1"
    refusals: dict[str, tuple[int, int, str]]
    asked: Counter[str]
    rules: bytes

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        what = self._what(body)
        self.asked[what] += 1
        times, status, code = self.refusals.get(what, (0, 0, ""))
        if self.asked[what] <= times:
            self._answer(status, REFUSAL.format(code=code).encode())
            return
        if "lifecycle" in self.path:
            type(self).rules = body
        self._answer(200)

    def do_DELETE(self) -> None:
        self._answer(204)

    def _what(self, body: bytes) -> str:
        if "lifecycle" in self.path:
            return "abort" if b"AbortIncompleteMultipartUpload" in body else "rules"
        return "file" if self.path.count("/") > 1 else "bucket"

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


FOR_EVER = 1 << 30


@contextmanager
def refusing(monkeypatch: pytest.MonkeyPatch, **refusals: tuple[int, int, str]) -> Iterator[type[Refusing]]:
    handler = type("Handler", (Refusing,), {"refusals": refusals, "asked": Counter(), "rules": b""})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    settings(monkeypatch, f"http://127.0.0.1:{server.server_port}", "key", "secret")
    try:
        yield handler
    finally:
        server.shutdown()
        server.server_close()


def settings(monkeypatch: pytest.MonkeyPatch, endpoint: str, key: str, secret: str, name: str = "effreason") -> None:
    """As docker-compose.yml gives them."""
    for owner in ("AWS_ACCESS_KEY_ID", "S3_ROOT_KEY"):
        monkeypatch.setenv(owner, key)
    for owner in ("AWS_SECRET_ACCESS_KEY", "S3_ROOT_SECRET"):
        monkeypatch.setenv(owner, secret)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("S3_BUCKET", name)
    monkeypatch.setenv("S3_PREFIX", "sweeps")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it remembers the credentials of the test before
    monkeypatch.setattr(bucket, "POLL_SECONDS", 0.02)


@pytest.mark.parametrize("code", ["InvalidArgument", "InvalidRequest", "MalformedXML"])
def test_a_server_without_rules_for_unfinished_uploads_gets_the_others_and_it_is_told(code, monkeypatch, capsys):
    with refusing(monkeypatch, abort=(FOR_EVER, 400, code)) as server:
        assert bucket.main() == 0
    assert b"NoncurrentVersionExpiration" in server.rules and server.asked["abort"] == 1
    assert "does not accept a rule for removing unfinished uploads" in capsys.readouterr().out


def test_a_server_that_takes_all_rules_has_all_and_nothing_is_told_of_them(monkeypatch, capsys):
    with refusing(monkeypatch) as server:
        assert bucket.main() == 0
    assert b"AbortIncompleteMultipartUpload" in server.rules and server.asked["rules"] == 0
    assert capsys.readouterr().out == "The bucket effreason exists.\n"


@pytest.mark.parametrize(
    "refusals",
    [
        {"abort": (FOR_EVER, 400, "InvalidArgument"), "rules": (FOR_EVER, 400, "MalformedXML")},
        {"abort": (FOR_EVER, 403, "AccessDenied")},
        {"bucket": (FOR_EVER, 400, "InvalidBucketName")},
        {"bucket": (FOR_EVER, 403, "SignatureDoesNotMatch")},
        {"file": (FOR_EVER, 404, "NoSuchBucket")},
    ],
)
def test_what_is_refused_for_good_is_told_at_once(refusals, monkeypatch):
    began = time.monotonic()
    with refusing(monkeypatch, **refusals) as server, pytest.raises(SystemExit, match=r"refused .*An error occurred"):
        bucket.main()
    assert time.monotonic() - began < 30
    assert set(server.asked.values()) == {1}, "nothing was asked twice"


def test_a_user_that_is_not_yet_made_and_a_server_that_is_not_yet_ready_are_waited_for(monkeypatch):
    refusals = {"bucket": (2, 503, "XMinioServerNotInitialized"), "file": (3, 403, "InvalidAccessKeyId")}
    with refusing(monkeypatch, **refusals) as server:
        assert bucket.main() == 0
    assert (server.asked["bucket"], server.asked["file"]) == (3, 4)


def test_a_user_that_never_comes_is_given_up_at_the_deadline(monkeypatch):
    monkeypatch.setattr(bucket, "PATIENCE_SECONDS", 0.3)
    with (
        refusing(monkeypatch, file=(FOR_EVER, 403, "AccessDenied")),
        pytest.raises(SystemExit, match=r"not ready within .*AccessDenied"),
    ):
        bucket.main()


def test_seaweedfs_gets_a_bucket_with_all_rules_however_late_it_comes_and_twice_is_as_good_as_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    server = SeaweedFS(tmp_path)
    settings(monkeypatch, server.endpoint, server.access_key, server.secret_key, BUCKET)
    late = threading.Thread(target=server.start)
    try:
        late.start()
        assert bucket.main() == 0 and bucket.main() == 0
        kept = admin(server).get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
    finally:
        late.join()
        server.kill()
    assert {rule["ID"] for rule in kept} == {"uploads-that-nobody-completed", "versions-of-what-was-removed"}
