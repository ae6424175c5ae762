"""An S3 server and how long to bear with it. The one module that imports boto3.

Credentials come from the standard AWS chain (environment, profile, instance role). The user needs what
infra/s3/policy.json lists.

None of botocore's retry modes outlasts the restart of a server (their quota is spent within seconds when several
parts fail at once), so botocore tries once and every request is repeated here, with jitter, until its patience ends.
"""

import hashlib
import random
import time
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError, IncompleteReadError

from effreason.choices import S3Home
from effreason.errors import EffreasonError, StepFailure, UserError
from effreason.store.shelf import Unreachable

Answer = TypeVar("Answer")

ABSENT = frozenset({"404", "NoSuchKey", "NoSuchUpload"})
TAKEN = frozenset({"412", "PreconditionFailed"})
UNKNOWN = frozenset({"501", "NotImplemented"})
NO_ANSWER = (ConnectionError, HTTPClientError, IncompleteReadError)
PASSING = frozenset({"BadDigest", "ConditionalRequestConflict", "OperationAborted", "RequestTimeout", "SlowDown"})
"""Error codes below status 500 after which the same request may succeed."""
FULL = frozenset({"InsufficientStorage", "QuotaExceeded", "XMinioAdminBucketQuotaExceeded", "XMinioStorageFull"})
ELSEWHERE = frozenset({"AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "PermanentRedirect"})
EXPIRED = frozenset({"ExpiredToken", "InvalidToken", "TokenRefreshRequired"})


@dataclass(frozen=True)
class Transfer:
    """The settings of transfers. They change speed and endurance, never what is read back."""

    part_bytes: int = 16 << 20
    """The part size of uploads of larger files (or what 10,000 parts need); S3 refuses parts below 5 MiB."""
    threads: int = 4
    first_patience_seconds: float = 10.0
    """The time to try before the first answer: a wrong endpoint should not cost a minute."""
    patience_seconds: float = 90.0
    """The time to repeat a request afterwards: a server may restart in the middle of a long step."""


class S3Server:
    """The server of `home` and the bucket there. Threads may share it."""

    def __init__(self, home: S3Home, transfer: Transfer) -> None:
        self.client = _client(home, transfer)
        self.bucket = home.bucket
        self._transfer = transfer
        self._answered = False

    def ask(self, request: Callable[[], Answer]) -> Answer:
        """Return the server's answer; its errors are explained."""
        try:
            return self._patiently(request)
        except ClientError as error:
            raise self._refusal(error) from error

    def ask_unless(self, codes: frozenset[str], request: Callable[[], Answer]) -> Answer | None:
        """Return the answer as `ask` does, but None if the server answers one of `codes`."""
        try:
            return self._patiently(request)
        except ClientError as error:
            if _code(error) in codes:
                return None
            raise self._refusal(error) from error

    def refusal(self, request: Callable[[], object]) -> str | None:
        """Return the code with which the server refuses the request; None if it accepts it."""
        try:
            self._patiently(request)
        except ClientError as error:
            return _code(error)
        return None

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
                if not may_pass(error):
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
    def _name(self) -> str:
        """The address without a user name or password that somebody may have put into it."""
        address = urlsplit(self.client.meta.endpoint_url)
        return f"{address.scheme}://{address.netloc.rpartition('@')[2]}"

    def _impatience(self, failure: Exception, seconds: float) -> StepFailure:
        if isinstance(failure, ClientError):
            return StepFailure(
                f"The S3 server {self._name} answered {_code(failure)} for {seconds:.0f} seconds.",
                "Check its log (for a full disk or an exhausted quota, say) and run again.",
            )
        return Unreachable(
            f"The S3 server {self._name} did not answer for {seconds:.0f} seconds ({type(failure).__name__}).",
            "Check the endpoint, the network and that the server is running, and run again.",
        )

    def _refusal(self, error: ClientError) -> EffreasonError:
        code, status = _code(error), status_of(error)
        if code == "NoSuchBucket":
            return UserError(f"There is no bucket {self.bucket} at {self._name}.", "Create it, or choose another.")
        if code in FULL or status == 507:
            return StepFailure(f"The bucket {self.bucket} is full ({code}).", "Free space, or raise its quota.")
        if code in ELSEWHERE or status == 301:
            return UserError(f"The bucket {self.bucket} is in another region ({code}).", "Set the store's region.")
        if code in EXPIRED or status in {401, 403}:
            return UserError(
                f"{self._name} refused the credentials for the bucket {self.bucket} ({code}).",
                "Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY or AWS_PROFILE, and their permissions.",
            )
        return StepFailure(
            f"{self._name} refused a request for the bucket {self.bucket} ({code}, HTTP {status}).",
            "Check the server's log; the store needs an S3 server with multipart uploads and ranged reads.",
        )


def md5_header(content: bytes) -> str:
    """Return Content-MD5, which every S3 server compares; several ignore the checksum headers that came later."""
    return b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()


def _client(home: S3Home, transfer: Transfer) -> Any:
    config = Config(
        signature_version="s3v4",
        # Every file goes with its Content-MD5, which is signed: a SHA-256 of it as well would be the third digest.
        s3={"addressing_style": "path" if home.endpoint else "auto", "payload_signing_enabled": False},
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
    """Return the error for a request that never left: no credentials, an unknown profile, an invalid bucket name."""
    return UserError(
        f"S3 cannot be used as configured ({type(error).__name__}).",
        "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, and check the bucket's name and region.",
    )


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", "unknown"))


def status_of(error: ClientError) -> int:
    """Return the HTTP status; 0 where the answer names none."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def may_pass(error: ClientError) -> bool:
    """Return whether the same request may be answered another time."""
    return _code(error) in PASSING or status_of(error) in {408, 429, 500, 502, 503, 504}
