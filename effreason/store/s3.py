"""Artifacts in S3-compatible storage: what a shelf does, in requests to a bucket."""

import secrets
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from effreason.choices import S3Home
from effreason.store.cache import cache_of
from effreason.store.sealing import SealedStore
from effreason.store.server import ABSENT, TAKEN, S3Server, Transfer, md5_header
from effreason.store.shelf import Entry
from effreason.store.uploads import Uploads


class S3Store(SealedStore):
    """A store in a bucket, below a prefix."""

    def __init__(self, home: S3Home, transfer: Transfer = Transfer()) -> None:
        super().__init__(S3Shelf(home, transfer), cache=cache_of(home))


class S3Shelf:
    """A shelf whose keys are object keys below the prefix of `home`. Threads may share it."""

    def __init__(self, home: S3Home, transfer: Transfer = Transfer()) -> None:
        self._server = S3Server(home, transfer)
        self._uploads = Uploads(self._server, transfer)
        self.client = self._server.client
        self._prefix = f"{home.prefix.strip('/')}/".lstrip("/")
        self._transfer = transfer

    @cached_property
    def exclusive(self) -> bool:
        """Whether the server honours `If-None-Match: *`; some ignore it and some do not know it. Asked once."""
        key = f"working/probe-{secrets.token_hex(8)}"
        try:
            self.write(key, b"")
            return self._server.refusal(lambda: self._put(key, b"", IfNoneMatch="*")) in TAKEN
        finally:
            self._delete(key)

    def where(self, key: str) -> str:
        return f"s3://{self._server.bucket}/{self._prefix}{key}"

    def continues(self, size: int) -> bool:
        return size > self._transfer.part_bytes

    def put(self, key: str, source: Path, count: Callable[[int], object]) -> None:
        size = source.stat().st_size
        if self.continues(size):
            self._uploads.put(self._prefix + key, source, count)
        else:
            self.write(key, source.read_bytes())
            count(size)

    def write(self, key: str, content: bytes) -> None:
        self._server.ask(lambda: self._put(key, content))

    def write_first(self, key: str, content: bytes) -> None:
        self._server.ask_unless(TAKEN, lambda: self._put(key, content, IfNoneMatch="*"))

    def read(self, key: str) -> bytes | None:
        return self._server.ask_unless(ABSENT, lambda: bytes(self.client.get_object(**self._at(key))["Body"].read()))

    def size(self, key: str) -> int | None:
        return self._server.ask_unless(ABSENT, lambda: int(self.client.head_object(**self._at(key))["ContentLength"]))

    def chunks(self, key: str, size: int) -> Iterator[bytes]:
        """Yield the bytes in parts, of which a few are in flight at the same time."""
        under_way: deque[Future[bytes]] = deque()
        with ThreadPoolExecutor(self._transfer.threads) as pool:
            for start in range(0, size, self._transfer.part_bytes):
                under_way.append(pool.submit(self._get_part, key, start, min(start + self._transfer.part_bytes, size)))
                if len(under_way) == self._transfer.threads:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()

    def keys(self, folder: str) -> Iterator[str]:
        return (found["Key"].removeprefix(self._prefix) for found in self._objects(folder))

    def entries(self, folder: str) -> Iterator[Entry]:
        for found in self._objects(folder):
            yield Entry(found["Key"].removeprefix(self._prefix), found["Size"], found["LastModified"])
        for begun in self._uploads.begun(self._below(folder)):
            parts = self._uploads.sent(begun.key, begun.id).values()
            changed = max([begun.at, *(part.at for part in parts)])
            yield Entry(begun.key.removeprefix(self._prefix), sum(part.size for part in parts), changed, begun.id)

    def remove(self, entry: Entry) -> None:
        if entry.upload is None:
            self._delete(entry.key)
        else:
            self._uploads.abort(self._prefix + entry.key, entry.upload)

    def clear(self, folder: str, sparing: tuple[str, ...] = ()) -> None:
        for key in list(self.keys(folder)):
            if not key.startswith(sparing):
                self._delete(key)
        for begun in list(self._uploads.begun(self._below(folder))):
            self._uploads.abort(begun.key, begun.id)

    # ------------------------------------------------------------------------------------------ one request

    def _at(self, key: str) -> dict[str, str]:
        return {"Bucket": self._server.bucket, "Key": self._prefix + key}

    def _below(self, folder: str) -> str:
        return f"{self._prefix}{folder}/"

    def _put(self, key: str, content: bytes, **conditions: str) -> None:
        self.client.put_object(**self._at(key), Body=content, ContentMD5=md5_header(content), **conditions)

    def _delete(self, key: str) -> None:
        self._server.ask_unless(ABSENT, lambda: self.client.delete_object(**self._at(key)))

    def _get_part(self, key: str, start: int, end: int) -> bytes:
        ranged = {**self._at(key), "Range": f"bytes={start}-{end - 1}"}
        return self._server.ask(lambda: bytes(self.client.get_object(**ranged)["Body"].read()))

    def _objects(self, folder: str) -> Iterator[dict[str, Any]]:
        """Yield the objects, page by page."""
        request = partial(self.client.list_objects_v2, Bucket=self._server.bucket, Prefix=self._below(folder))
        after: dict[str, str] = {}
        while True:
            page = self._server.ask(partial(request, **after))
            yield from page.get("Contents", ())
            if not page.get("IsTruncated"):
                return
            after = {"ContinuationToken": page["NextContinuationToken"]}
