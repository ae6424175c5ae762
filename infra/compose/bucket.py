"""The bucket of the stack: created by root with the rules of infra/s3, and tested with the credentials of its user.

python -m infra.compose.bucket       root in S3_ROOT_KEY and S3_ROOT_SECRET, the user in the usual AWS variables
"""

import json
import os
import sys
import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from effreason.store.server import NO_ANSWER, may_pass, status_of

PATIENCE_SECONDS = 120.0
POLL_SECONDS = 1.0
MADE = frozenset({"BucketAlreadyOwnedByYou", "BucketAlreadyExists"})
UNKNOWN = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_IMPLEMENTED})
"""The statuses with which servers refuse a rule that they do not support: MinIO as InvalidArgument or MalformedXML."""
ABORT = "AbortIncompleteMultipartUpload"
LIFECYCLE = Path(__file__).parent.parent / "s3" / "lifecycle.json"


def main() -> int:
    bucket, prefix = os.environ["S3_BUCKET"], os.environ["S3_PREFIX"]
    rules = json.loads(LIFECYCLE.read_text().replace("PREFIX", prefix))["Rules"]
    deadline = time.monotonic() + PATIENCE_SECONDS
    root = _client(aws_access_key_id=os.environ["S3_ROOT_KEY"], aws_secret_access_key=os.environ["S3_ROOT_SECRET"])
    user = _client()
    _patiently(lambda: _make(root, bucket), deadline)
    _patiently(lambda: _set_rules(root, bucket, rules), deadline)
    # Another container may be creating the user and the policy at this moment.
    ready = {"Bucket": bucket, "Key": f"{prefix}/working/ready"}
    _patiently(lambda: user.put_object(**ready, Body=b""), deadline, HTTPStatus.FORBIDDEN)
    user.delete_object(**ready)
    print(f"The bucket {bucket} exists.")
    return 0


def _client(**credentials: str) -> Any:
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": "path"},
        connect_timeout=3,
        retries={"total_max_attempts": 1},
        request_checksum_calculation="when_required",
    )
    region = os.environ.get("AWS_DEFAULT_REGION", "us-east-1")
    return boto3.client("s3", region_name=region, config=config, **credentials)


def _make(root: Any, bucket: str) -> None:
    try:
        root.create_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] not in MADE:
            raise


def _set_rules(root: Any, bucket: str, rules: list[dict[str, Any]]) -> None:
    """Set all rules, or all but those for unfinished uploads on a server that does not support them."""
    put = root.put_bucket_lifecycle_configuration
    try:
        put(Bucket=bucket, LifecycleConfiguration={"Rules": rules})
    except ClientError as error:
        if status_of(error) not in UNKNOWN:
            raise
        put(Bucket=bucket, LifecycleConfiguration={"Rules": [rule for rule in rules if ABORT not in rule]})
        print("The server does not accept a rule for removing unfinished uploads; it must remove them itself.")


def _patiently(ask: Callable[[], object], deadline: float, *passing: int) -> None:
    """Call `ask` until it succeeds. A refusal exits, unless the server is busy or the status is in `passing`."""
    while True:
        try:
            ask()
            return
        except NO_ANSWER as error:
            failure: Exception = error
        except ClientError as error:
            if not (may_pass(error) or status_of(error) in passing):
                sys.exit(f"The store refused a request that it must support: {error}")
            failure = error
        if time.monotonic() > deadline:
            sys.exit(f"The store was not ready within {PATIENCE_SECONDS:.0f} s: {failure}")
        time.sleep(POLL_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
