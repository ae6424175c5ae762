"""Artifacts in S3-compatible storage. The one module that imports boto3.

Credentials come from the standard AWS chain (environment, profile, instance role). The user needs GetObject,
PutObject, DeleteObject and ListBucket, and AbortMultipartUpload and ListBucketMultipartUploads to tidy up.

None of botocore's retry modes outlasts the restart of a server (their quota is spent within seconds when several
parts fail at once), so botocore tries once and every request is repeated here until its patience ends.
"""

import hashlib
import os
import random
import secrets
import time
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError, IncompleteReadError

from effreason.choices import S3Home
from effreason.errors import EffreasonError, StepFailure, UserError
from effreason.store.sealing import SealedStore
from effreason.store.shelf import Unreachable

Answer = TypeVar("Answer")

NO_ANSWER = (ConnectionError, HTTPClientError, IncompleteReadError)
PASSING = frozenset({"BadDigest", "ConditionalRequestConflict", "OperationAborted", "RequestTimeout", "SlowDown"})
"""Errors below 500 that the same request may not meet again."""
ABSENT = frozenset({"404", "NoSuchKey", "NoSuchUpload"})
TAKEN = frozenset({"412", "PreconditionFailed"})
FULL = frozenset({"InsufficientStorage", "QuotaExceeded", "XMinioAdminBucketQuotaExceeded", "XMinioStorageFull"})
ELSEWHERE = frozenset({"AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "PermanentRedirect"})
EXPIRED = frozenset({"ExpiredToken", "InvalidToken", "TokenRefreshRequired"})
MOST_PARTS = 10_000
"""Of one upload, by the S3 protocol."""


@dataclass(frozen=True)
class Transfer:
    """How bytes travel. Changes speed and endurance, never what is stored."""

    part_bytes: int = 16 << 20
    """Files above this go up in parts of this size (or what 10,000 parts need); S3 refuses parts below 5 MiB."""
    threads: int = 4
    first_patience_seconds: float = 10.0
    """How long to try before the first answer: a wrong endpoint should not cost a minute."""
    patience_seconds: float = 90.0
    """How long to repeat a request afterwards: a server may restart in the middle of a long step."""


class S3Store(SealedStore):
    """A store in a bucket, below a prefix."""

    def __init__(self, home: S3Home, transfer: Transfer = Transfer()) -> None:
        super().__init__(S3Shelf(home, transfer))


class S3Shelf:
    """Keys are object keys below the prefix of `home`. Threads may share it."""

    def __init__(self, home: S3Home, transfer: Transfer = Transfer()) -> None:
        self.client = _client(home, transfer)
        self._bucket = home.bucket
        self._prefix = f"{home.prefix.strip('/')}/".lstrip("/")
        self._transfer = transfer
        self._answered = False

    @cached_property
    def exclusive(self) -> bool:
        """Whether the server honours `If-None-Match: *`; some ignore it and some do not know it. Asked once."""
        key = f"working/probe-{secrets.token_hex(8)}"
        try:
            for _ in range(2):
                self._patiently(lambda: self._put(key, b"", IfNoneMatch="*"))
        except ClientError as error:
            if _code(error) in TAKEN:
                return True
            if _code(error) in {"501", "NotImplemented"}:
                return False
            raise self._refusal(error) from error
        finally:
            self._delete(key)
        return False

    def where(self, key: str) -> str:
        return f"s3://{self._bucket}/{self._prefix}{key}"

    def put(self, key: str, source: Path) -> None:
        size = source.stat().st_size
        if size > self._transfer.part_bytes:
            self._put_in_parts(key, source, size)
        else:
            self.write(key, source.read_bytes())

    def write(self, key: str, content: bytes) -> None:
        self._ask(lambda: self._put(key, content))

    def write_first(self, key: str, content: bytes) -> None:
        self._ask_unless(TAKEN, lambda: self._put(key, content, IfNoneMatch="*"))

    def read(self, key: str) -> bytes | None:
        return self._ask_unless(ABSENT, lambda: bytes(self.client.get_object(**self._at(key))["Body"].read()))

    def size(self, key: str) -> int | None:
        return self._ask_unless(ABSENT, lambda: int(self.client.head_object(**self._at(key))["ContentLength"]))

    def chunks(self, key: str, size: int) -> Iterator[bytes]:
        """In parts, of which a few are under way at the same time."""
        under_way: deque[Future[bytes]] = deque()
        with ThreadPoolExecutor(self._transfer.threads) as pool:
            for start in range(0, size, self._transfer.part_bytes):
                under_way.append(pool.submit(self._get_part, key, start, min(start + self._transfer.part_bytes, size)))
                if len(under_way) == self._transfer.threads:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()

    def keys(self, folder: str) -> Iterator[str]:
        after: dict[str, str] = {}
        while True:
            page = self._ask(partial(self.client.list_objects_v2, **self._below(folder), **after))
            yield from (found["Key"].removeprefix(self._prefix) for found in page.get("Contents", ()))
            if not page.get("IsTruncated"):
                return
            after = {"ContinuationToken": page["NextContinuationToken"]}

    def clear(self, folder: str, sparing: tuple[str, ...] = ()) -> None:
        for key in list(self.keys(folder)):
            if not key.startswith(sparing):
                self._delete(key)
        answer = self._ask(lambda: self.client.list_multipart_uploads(**self._below(folder)))
        for upload in answer.get("Uploads", ()):
            if not (key := upload["Key"].removeprefix(self._prefix)).startswith(sparing):
                self._abort(key, upload["UploadId"])

    # ------------------------------------------------------------------------------------------ one request

    def _at(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + key}

    def _below(self, folder: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Prefix": f"{self._prefix}{folder}/"}

    def _put(self, key: str, content: bytes, **conditions: str) -> None:
        self.client.put_object(**self._at(key), Body=content, ContentMD5=_md5(content), **conditions)

    def _delete(self, key: str) -> None:
        self._ask_unless(ABSENT, lambda: self.client.delete_object(**self._at(key)))

    def _abort(self, key: str, upload: str) -> None:
        self._ask_unless(ABSENT, lambda: self.client.abort_multipart_upload(**self._at(key), UploadId=upload))

    def _get_part(self, key: str, start: int, end: int) -> bytes:
        ranged = {**self._at(key), "Range": f"bytes={start}-{end - 1}"}
        return self._ask(lambda: bytes(self.client.get_object(**ranged)["Body"].read()))

    # ------------------------------------------------------------------------------------------ large files

    def _put_in_parts(self, key: str, source: Path, size: int) -> None:
        """An upload that fails is aborted by the `clear` of its folder."""
        upload = self._ask(lambda: self.client.create_multipart_upload(**self._at(key)))["UploadId"]
        parts = self._put_parts(key, source, size, upload)
        self._complete(key, size, upload, parts)

    def _put_parts(self, key: str, source: Path, size: int, upload: str) -> list[dict[str, object]]:
        part_bytes = max(self._transfer.part_bytes, -(-size // MOST_PARTS))

        def put_part(start: int) -> dict[str, object]:
            content = os.pread(file.fileno(), part_bytes, start)
            number = start // part_bytes + 1
            part = {**self._at(key), "UploadId": upload, "PartNumber": number, "ContentMD5": _md5(content)}
            return {
                "PartNumber": number,
                "ETag": self._ask(lambda: self.client.upload_part(**part, Body=content))["ETag"],
            }

        with source.open("rb") as file, ThreadPoolExecutor(self._transfer.threads) as pool:
            return list(pool.map(put_part, range(0, size, part_bytes)))

    def _complete(self, key: str, size: int, upload: str, parts: list[dict[str, object]]) -> None:
        whole = {**self._at(key), "UploadId": upload, "MultipartUpload": {"Parts": parts}}
        completed = self._ask_unless(ABSENT, lambda: self.client.complete_multipart_upload(**whole))
        if completed is None and self.size(key) != size:  # gone and whole: only the reply was lost
            raise StepFailure(f"An upload to {self.where(key)} was removed while it ran.", "Run again.")

    # ---------------------------------------------------------------------------------- patience and answers

    def _ask(self, request: Callable[[], Answer]) -> Answer:
        """What the server answers; its errors are explained."""
        try:
            return self._patiently(request)
        except ClientError as error:
            raise self._refusal(error) from error

    def _ask_unless(self, codes: frozenset[str], request: Callable[[], Answer]) -> Answer | None:
        """`_ask`, but None if the server answers one of `codes`."""
        try:
            return self._patiently(request)
        except ClientError as error:
            if _code(error) in codes:
                return None
            raise self._refusal(error) from error

    def _patiently(self, request: Callable[[], Answer]) -> Answer:
        """Repeat `request` until it is answered for good.

        Raises ClientError for an answer that will stay the same.
        """
        patience = self._transfer.patience_seconds if self._answered else self._transfer.first_patience_seconds
        began, pause = time.monotonic(), 0.25
        while True:
            try:
                answer = request()
                self._answered = True
                return answer
            except ClientError as error:
                self._answered = True
                if not _passing(error):
                    raise
                failure = error
            except NO_ANSWER as error:
                failure = error
            except BotoCoreError as error:
                raise _unusable(error) from error
            if (passed := time.monotonic() - began) + pause > patience:
                raise self._impatience(failure, passed) from failure
            time.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, 10.0)

    @property
    def _server(self) -> str:
        """Without a user name or password that somebody may have put into the address."""
        address = urlsplit(self.client.meta.endpoint_url)
        return f"{address.scheme}://{address.netloc.rpartition('@')[2]}"

    def _impatience(self, failure: Exception, seconds: float) -> StepFailure:
        if isinstance(failure, ClientError):
            return StepFailure(
                f"The S3 server {self._server} answered {_code(failure)} for {seconds:.0f} seconds.",
                "Look into its log (a full disk answers so) and run again.",
            )
        return Unreachable(
            f"The S3 server {self._server} did not answer for {seconds:.0f} seconds ({type(failure).__name__}).",
            "Check the endpoint, the network and whether the server runs, and run again.",
        )

    def _refusal(self, error: ClientError) -> EffreasonError:
        code, status = _code(error), _status(error)
        if code == "NoSuchBucket":
            return UserError(f"There is no bucket {self._bucket} at {self._server}.", "Create it, or name another.")
        if code in FULL or status == 507:
            return StepFailure(f"The bucket {self._bucket} is full ({code}).", "Free space or raise its quota.")
        if code in ELSEWHERE or status == 301:
            return UserError(f"The bucket {self._bucket} lies in another region ({code}).", "Set the store's region.")
        if code in EXPIRED or status in {401, 403}:
            return UserError(
                f"{self._server} refused the credentials for the bucket {self._bucket} ({code}).",
                "Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY or AWS_PROFILE, and the rights that they carry.",
            )
        return StepFailure(
            f"{self._server} refused a request for the bucket {self._bucket} ({code}, HTTP {status}).",
            "Look into the server's log; the store needs an S3 server with multipart uploads and ranged reads.",
        )


def _client(home: S3Home, transfer: Transfer) -> Any:
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": "path"} if home.endpoint else None,
        connect_timeout=5,
        read_timeout=60,
        retries={"mode": "standard", "total_max_attempts": 1},
        max_pool_connections=2 * transfer.threads,
        tcp_keepalive=True,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    try:
        return boto3.session.Session().client("s3", endpoint_url=home.endpoint, region_name=home.region, config=config)
    except BotoCoreError as error:
        raise _unusable(error) from error
    except ValueError:
        # It repeats the endpoint, which may hold a password.
        raise UserError("The store's endpoint is not a URL.", "Write it like http://127.0.0.1:9000.") from None


def _unusable(error: BotoCoreError) -> UserError:
    """The request never left: no credentials, an unknown profile, a bucket's name that cannot be."""
    return UserError(
        f"S3 cannot be used as configured ({type(error).__name__}).",
        "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, and check the bucket's name and region.",
    )


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", "unknown"))


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _passing(error: ClientError) -> bool:
    return _code(error) in PASSING or _status(error) in {408, 429, 500, 502, 503, 504}


def _md5(content: bytes) -> str:
    return b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
