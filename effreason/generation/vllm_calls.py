"""What a vLLM server is asked over HTTP, and how requests that are under way are ended.

A completion takes as long as its tokens do, minutes at times. vLLM drops a request whose connection is cut, so whoever
stops waiting cuts it: the server does not go on for nobody, and the thread that waits goes on at once.
"""

import json
import socket
import threading
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPHandler, HTTPSHandler, Request, build_opener

from effreason.errors import EffreasonError, StepFailure, UserError

TIMEOUT_SECONDS = 3600.0
"""The time limit of one request, which includes its wait in the server's queue."""

CONNECTING_SECONDS = 0.05
"""The interval between two looks at a request that was about to connect."""

OF_WORKERS = "/collective_rpc"
"""The path of calls to the workers; status 500 if they lack the extension or have another architecture."""


class Calls:
    """Requests to one server."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._opener = build_opener(_Kept(self))
        self._changed = threading.Condition()
        self._under_way: set[HTTPConnection] = set()
        self._ended = False

    def ask(self, path: str, body: dict[str, object] | None = None) -> dict[str, Any]:
        """Return the JSON at the path, or the reply to the body that is posted there.

        Raises:
            UserError: the server refuses it.
            StepFailure: the server has failed or does not answer, or `end` was called.
        """
        posted = None if body is None else json.dumps(body).encode()
        request = Request(self._url + path, posted, {"Content-Type": "application/json"})  # noqa: S310
        try:
            with self._opener.open(request, timeout=TIMEOUT_SECONDS) as response:
                replied: dict[str, Any] = json.loads(response.read() or b"{}")
        except HTTPError as error:
            raise self._refused(path, error) from error
        except (URLError, TimeoutError, HTTPException, ConnectionError) as error:
            raise StepFailure(
                f"No vLLM server answers at {self._url} ({error}).", "Start it as described in docs/vllm.md."
            ) from error
        return replied

    def end(self) -> None:
        """Cut off the requests in flight, and allow no other."""
        with self._changed:
            self._ended = True
            while self._under_way:
                for connection in self._under_way:
                    _cut(connection)
                self._changed.wait(CONNECTING_SECONDS)

    def keep(self, connection: HTTPConnection) -> None:
        """Register a connection, from before it is used until it is dropped."""
        with self._changed:
            if self._ended:
                raise ConnectionAbortedError("the request was cancelled")
            self._under_way.add(connection)

    def drop(self, connection: HTTPConnection) -> None:
        """Forget a connection: its server has answered or failed."""
        with self._changed:
            self._under_way.discard(connection)
            self._changed.notify_all()

    def _refused(self, path: str, error: HTTPError) -> EffreasonError:
        said = error.read(500).decode(errors="replace")
        if error.code >= 500 and (path, error.code) != (OF_WORKERS, 500):
            return StepFailure(
                f"The vLLM server at {self._url} failed at {path} with status {error.code}: {said}",
                "Check its log, and restart it.",
            )
        return UserError(
            f"The vLLM server at {self._url} refused {path} with status {error.code}: {said}",
            "Start it as described in docs/vllm.md, with a model of the same architecture.",
        )


class _Kept(HTTPSHandler, HTTPHandler):
    """Keeps every connection registered with `calls` while the server is asked over it."""

    def __init__(self, calls: Calls) -> None:
        super().__init__()
        self._calls = calls

    def do_open(self, http_class: Any, req: Request, **how: Any) -> HTTPResponse:
        made: list[HTTPConnection] = []

        def opened(*place: Any, **named: Any) -> HTTPConnection:
            connection: HTTPConnection = http_class(*place, **named)
            self._calls.keep(connection)
            made.append(connection)
            return connection

        try:
            return super().do_open(opened, req, **how)
        finally:
            for connection in made:
                self._calls.drop(connection)


def _cut(connection: HTTPConnection) -> None:
    line = connection.sock
    if line is not None:  # it has connected, and not yet been answered
        with suppress(OSError):  # it has ended by itself
            line.shutdown(socket.SHUT_RDWR)
