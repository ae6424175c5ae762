"""Large files on their way into a bucket, in parts; what a writer that was killed has sent already is not sent again.

The key of a large file carries the digest of the file (`effreason.store.files`), so whatever waits under it was meant
to be this file. Each part there still has to have our MD5 (its ETag) and our size, or it is sent anew.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from effreason.errors import StepFailure
from effreason.store.server import ABSENT, UNKNOWN, S3Server, Transfer, md5_header

MOST_PARTS = 10_000
"""The most parts of one upload, by the S3 protocol."""


@dataclass(frozen=True)
class Begun:
    """An upload that has not been completed. Keys are the bucket's own, prefix included."""

    key: str
    id: str
    at: datetime


@dataclass(frozen=True)
class Part:
    """A part that the server holds."""

    etag: str
    size: int
    at: datetime


class Uploads:
    """The uploads of one bucket."""

    def __init__(self, server: S3Server, transfer: Transfer) -> None:
        self._server = server
        self._transfer = transfer

    def put(self, key: str, source: Path, count: Callable[[int], object]) -> None:
        """Store `source`, continuing from what is there. `count` is called with the bytes as they arrive.

        An upload that fails stays, to be continued, until the store is cleaned.
        """
        size = source.stat().st_size
        part_bytes = max(self._transfer.part_bytes, -(-size // MOST_PARTS))
        if self._whole(key, source, part_bytes):
            count(size)
            return
        upload = self._waiting(key) or self._begin(key)
        parts = self._send(key, upload, source, part_bytes, count)
        if (None in parts or not self._complete(key, upload, parts)) and not self._whole(key, source, part_bytes):
            raise StepFailure(f"An upload to {self._server.bucket}/{key} was removed while it ran.", "Run again.")

    def begun(self, prefix: str) -> Iterator[Begun]:
        """Yield every upload under keys that begin so; none where the server cannot list them."""
        after: dict[str, str] = {}
        request = partial(self._server.client.list_multipart_uploads, Bucket=self._server.bucket, Prefix=prefix)
        while True:
            page = self._server.ask_unless(UNKNOWN, partial(request, **after)) or {}
            for found in page.get("Uploads", ()):
                yield Begun(found["Key"], found["UploadId"], found["Initiated"])
            if not page.get("IsTruncated"):
                return
            after = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}

    def sent(self, key: str, upload: str) -> dict[int, Part]:
        """Return the parts that the server holds, by number."""
        parts: dict[int, Part] = {}
        after: dict[str, int] = {}
        request = partial(self._server.client.list_parts, **self._at(key), UploadId=upload)
        while True:
            page = self._server.ask_unless(ABSENT, partial(request, **after)) or {}
            for found in page.get("Parts", ()):
                part = Part(found["ETag"].strip('"'), found["Size"], found["LastModified"])
                parts[found["PartNumber"]] = part
            if not page.get("IsTruncated"):
                return parts
            after = {"PartNumberMarker": page["NextPartNumberMarker"]}

    def abort(self, key: str, upload: str) -> None:
        abort = self._server.client.abort_multipart_upload
        self._server.ask_unless(ABSENT, lambda: abort(**self._at(key), UploadId=upload))

    def _at(self, key: str) -> dict[str, str]:
        return {"Bucket": self._server.bucket, "Key": key}

    def _waiting(self, key: str) -> str | None:
        """Return the upload under this key that was begun last."""
        waiting = (upload for upload in self.begun(key) if upload.key == key)
        latest = max(waiting, key=lambda upload: upload.at, default=None)
        return latest.id if latest else None

    def _begin(self, key: str) -> str:
        answer = self._server.ask(lambda: self._server.client.create_multipart_upload(**self._at(key)))
        return str(answer["UploadId"])

    def _send(
        self, key: str, upload: str, source: Path, part_bytes: int, count: Callable[[int], object]
    ) -> list[dict[str, object] | None]:
        """Return every part with its ETag, in order; None for those whose upload has vanished."""
        there = self.sent(key, upload)

        def send(number: int, start: int) -> dict[str, object] | None:
            content = os.pread(file.fileno(), part_bytes, start)
            if not _holds(there.get(number), content):
                part = {**self._at(key), "UploadId": upload, "PartNumber": number, "ContentMD5": md5_header(content)}
                answer = self._server.ask_unless(ABSENT, lambda: self._server.client.upload_part(**part, Body=content))
                if answer is None:
                    return None
                etag = answer["ETag"]
            else:
                etag = f'"{there[number].etag}"'
            count(len(content))
            return {"PartNumber": number, "ETag": etag}

        starts = range(0, source.stat().st_size, part_bytes)
        with source.open("rb") as file, ThreadPoolExecutor(self._transfer.threads) as pool:
            return list(pool.map(send, range(1, len(starts) + 1), starts))

    def _complete(self, key: str, upload: str, parts: list[Any]) -> bool:
        whole = {**self._at(key), "UploadId": upload, "MultipartUpload": {"Parts": parts}}
        completed = self._server.ask_unless(ABSENT, lambda: self._server.client.complete_multipart_upload(**whole))
        return completed is not None

    def _whole(self, key: str, source: Path, part_bytes: int) -> bool:
        """Return whether the file is there: from another writer, or from our own request whose reply was lost."""
        found = self._server.ask_unless(ABSENT, lambda: self._server.client.head_object(**self._at(key)))
        if found is None or found["ContentLength"] != source.stat().st_size:
            return False
        count = -(-int(found["ContentLength"]) // part_bytes)
        etag = str(found["ETag"]).strip('"')
        # An ETag of another form, as of encrypted buckets, says nothing; the key has the digest all the same.
        return not etag.endswith(f"-{count}") or etag == f"{_digest_of_digests(source, part_bytes)}-{count}"


def _holds(part: Part | None, content: bytes) -> bool:
    if part is None or part.size != len(content):
        return False
    return part.etag == hashlib.md5(content, usedforsecurity=False).hexdigest()


def _digest_of_digests(source: Path, part_bytes: int) -> str:
    """Return the ETag that S3 gives to a file of several parts, without their number."""
    whole = hashlib.md5(usedforsecurity=False)
    with source.open("rb") as file:
        while content := file.read(part_bytes):
            whole.update(hashlib.md5(content, usedforsecurity=False).digest())
    return whole.hexdigest()
