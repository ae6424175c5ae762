"""The bucket of the stack: made by root, with the rules of infra/s3, and shown to work for the user it is for.

python -m infra.compose.bucket       root in S3_ROOT_KEY and S3_ROOT_SECRET, the user in the usual AWS variables
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

PATIENCE_SECONDS = 120.0
POLL_SECONDS = 1.0
MADE = frozenset({"BucketAlreadyOwnedByYou", "BucketAlreadyExists"})
LIFECYCLE = Path(__file__).parent.parent / "s3" / "lifecycle.json"


def main() -> int:
    bucket, prefix = os.environ["S3_BUCKET"], os.environ["S3_PREFIX"]
    rules = json.loads(LIFECYCLE.read_text().replace("PREFIX", prefix))
    deadline = time.monotonic() + PATIENCE_SECONDS
    root = _client(aws_access_key_id=os.environ["S3_ROOT_KEY"], aws_secret_access_key=os.environ["S3_ROOT_SECRET"])
    user = _client()
    _patiently(lambda: _make(root, bucket), deadline)
    _patiently(lambda: root.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration=rules), deadline)
    # The user and the policy may be made at this moment, by another container.
    _patiently(lambda: user.put_object(Bucket=bucket, Key=f"{prefix}/working/ready", Body=b""), deadline)
    user.delete_object(Bucket=bucket, Key=f"{prefix}/working/ready")
    print(f"The bucket {bucket} is there.")
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


def _patiently(ask: Callable[[], object], deadline: float) -> None:
    while True:
        try:
            ask()
            return
        except (BotoCoreError, ClientError) as error:
            if time.monotonic() > deadline:
                sys.exit(f"The store was not ready within {PATIENCE_SECONDS:.0f} s: {error}")
            time.sleep(POLL_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
