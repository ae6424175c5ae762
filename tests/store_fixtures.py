"""Fixtures: an S3 home on a real server, fresh for each test.

EFFREASON_TEST_S3_URL names another server to use, EFFREASON_TEST_S3_BUCKET its bucket; AWS_* hold its credentials.
"""

import os
import secrets
from collections.abc import Iterator

import pytest
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


@pytest.fixture
def s3_home(s3_server: SeaweedFS | None, monkeypatch: pytest.MonkeyPatch) -> S3Home:
    """An empty prefix of a bucket, with the credentials in the environment."""
    prefix = f"tests/{secrets.token_hex(6)}"
    if s3_server is None:
        bucket = os.environ.get("EFFREASON_TEST_S3_BUCKET", BUCKET)
        return S3Home(bucket=bucket, prefix=prefix, endpoint=os.environ["EFFREASON_TEST_S3_URL"])
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return S3Home(bucket=BUCKET, prefix=prefix, endpoint=s3_server.endpoint)
