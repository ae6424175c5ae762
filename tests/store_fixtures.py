"""Fixtures: an S3 home on a real server, fresh for each test.

EFFREASON_TEST_S3_URL names another server to use, EFFREASON_TEST_S3_BUCKET its bucket; AWS_* hold its credentials.
"""

import os
import secrets
import shutil
from collections.abc import Iterator

import pytest
from rgw_server import PROGRAMS, RadosGateway, rados_gateway
from s3_server import BUCKET, SeaweedFS, seaweedfs

from effreason.choices import S3Home


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS | None]:
    """One server for all tests; None where EFFREASON_TEST_S3_URL names another, whose credentials are the caller's."""
    if "EFFREASON_TEST_S3_URL" in os.environ:
        yield None
        return
    with seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as server:
        yield server


@pytest.fixture(scope="session")
def rgw_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RadosGateway]:
    """Ceph's own S3 server, in memory: a second opinion for tests that take their time."""
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        pytest.skip(f"{', '.join(missing)} not found; as root: apt-get install ceph-mon ceph-osd radosgw")
    with rados_gateway(tmp_path_factory.mktemp("rgw")) as server:
        yield server


@pytest.fixture
def s3_home(s3_server: SeaweedFS | None, monkeypatch: pytest.MonkeyPatch) -> S3Home:
    """An empty prefix of a bucket, with the credentials in the environment."""
    return fresh_home(s3_server, monkeypatch)


def fresh_home(server: SeaweedFS | RadosGateway | None, monkeypatch: pytest.MonkeyPatch) -> S3Home:
    """An empty prefix on `server`, or where it is None on that of EFFREASON_TEST_S3_URL; nothing is cached."""
    prefix = f"tests/{secrets.token_hex(6)}"
    if server is None:
        bucket, endpoint = os.environ.get("EFFREASON_TEST_S3_BUCKET", BUCKET), os.environ["EFFREASON_TEST_S3_URL"]
        return S3Home(bucket=bucket, prefix=prefix, endpoint=endpoint, cache_bytes=0)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return S3Home(bucket=BUCKET, prefix=prefix, endpoint=server.endpoint, cache_bytes=0)
