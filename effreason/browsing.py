"""A store in a web browser: read only, on loopback, sealed artifacts alone.

    /                      every artifact
    /report/3f2a…/         its files
    /report/3f2a…/PATH     one of them, verified against the manifest while it is read

What models have written is in these files, so none of them is trusted: each is served in a sandbox without an origin,
which may neither fetch nor send anything, and only a report may run its own scripts. A request that was meant for
another host is refused, so that no page of the web can reach this one by a name that it makes point here.
"""

import re
import shutil
import tempfile
from collections.abc import Iterator
from html import escape
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote, urlsplit

from effreason.artifacts import Manifest, StoredFile
from effreason.commands.stores import label
from effreason.errors import EffreasonError
from effreason.store import Store
from effreason.store.shelf import Damaged

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
PLACE = re.compile(r"/((?:prepare|evaluate|train|report|gate)/[0-9a-f]{24})/(.*)", re.DOTALL)
NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
PAGE_POLICY = f"{NOTHING}; style-src 'unsafe-inline'"
FILE_POLICY = f"{NOTHING}; sandbox; style-src 'unsafe-inline'; img-src data:"
REPORT_POLICY = (
    f"{NOTHING}; sandbox allow-scripts allow-downloads; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data:"
)
"""The content security policy of reports, which narrow it themselves to the digest of their one script."""
PLAIN = "text/plain; charset=utf-8"
TYPES = {
    ".csv": PLAIN,
    ".html": "text/html; charset=utf-8",
    ".json": PLAIN,
    ".jsonl": PLAIN,
    ".md": PLAIN,
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": PLAIN,
}
"""Content types by file extension; any other file is offered for download."""
STYLE = "body{font:15px/1.5 system-ui;max-width:60em;margin:2em auto;padding:0 1em}td{padding:.1em 1.5em .1em 0}"


class ArtifactServer(ThreadingHTTPServer):
    """Serves `store` at `host` and `port` (0: any that is free) until it is shut down."""

    daemon_threads = True

    def __init__(self, store: Store, host: str, port: int) -> None:
        super().__init__((host, port), _Handler)
        self.store = store


class _Absent(Exception):
    """An error for a path where there is nothing to see."""


class _Handler(BaseHTTPRequestHandler):
    server: ArtifactServer
    server_version, sys_version = "effreason", ""
    timeout = 60

    def do_GET(self) -> None:
        if urlsplit(f"//{self.headers.get('Host', '')}").hostname not in LOOPBACK:
            return self._say(HTTPStatus.FORBIDDEN, "This server answers to 127.0.0.1 and localhost only.")
        try:
            self._answer(unquote(urlsplit(self.path).path))
        except _Absent:
            self._say(HTTPStatus.NOT_FOUND, "There is no such artifact, or it has no such file.")
        except EffreasonError as error:
            self._say(HTTPStatus.BAD_GATEWAY, str(error))
        except ConnectionError:
            pass  # the browser has gone, and hears no answer

    do_HEAD = do_GET

    def _answer(self, path: str) -> None:
        if path == "/":
            return self._page("Artifacts", "".join(_rows(self.server.store)))
        place = PLACE.fullmatch(path)
        manifest = self.server.store.find(place[1]) if place else None
        if place is None or manifest is None:
            raise _Absent
        if not place[2]:
            return self._page(label(manifest.spec, {}), "".join(_file_row(file) for file in manifest.files))
        self._file(manifest, place[2])

    def _file(self, manifest: Manifest, path: str) -> None:
        stored = next((file for file in manifest.files if file.path == path), None)
        if stored is None:
            raise _Absent
        with tempfile.TemporaryDirectory(prefix="effreason-browse-") as scratch:
            folder = self.server.store.fetch(manifest, Path(scratch, "fetched"), only=[path])
            with (folder / path).open("rb") as content:
                self._head(HTTPStatus.OK, TYPES.get(Path(path).suffix), stored.size, _policy(manifest, path))
                if self.command == "GET":
                    shutil.copyfileobj(content, self.wfile)

    def _page(self, title: str, rows: str) -> None:
        body = f"<!doctype html><meta charset=utf-8><title>{escape(title)}</title><style>{STYLE}</style>"
        self._send(HTTPStatus.OK, TYPES[".html"], f"{body}<h1>{escape(title)}</h1><table>{rows}</table>")

    def _say(self, status: HTTPStatus, sentence: str) -> None:
        self._send(status, PLAIN, sentence + "\n")

    def _send(self, status: HTTPStatus, kind: str, text: str) -> None:
        content = text.encode()
        self._head(status, kind, len(content), PAGE_POLICY)
        if self.command == "GET":
            self.wfile.write(content)

    def _head(self, status: HTTPStatus, kind: str | None, size: int, policy: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind or "application/octet-stream")
        if kind is None:
            self.send_header("Content-Disposition", "attachment")
        self.send_header("Content-Length", str(size))
        self.send_header("Content-Security-Policy", policy)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Write nothing: nobody reads a line for each request."""


def _policy(manifest: Manifest, path: str) -> str:
    return REPORT_POLICY if (manifest.spec.step, path) == ("report", "report.html") else FILE_POLICY


def _rows(store: Store) -> Iterator[str]:
    """Yield the rows of the index: reports first, then what they were made of; the latest first."""
    manifests = dict(_readable(store))
    by_age = sorted(manifests.values(), key=lambda manifest: manifest.provenance.started, reverse=True)
    for manifest in sorted(by_age, key=lambda manifest: manifest.spec.step != "report"):
        what, made = escape(label(manifest.spec, manifests)), manifest.provenance.started[:16].replace("T", " ")
        page = f"/{manifest.address}/{'report.html' if manifest.spec.step == 'report' else ''}"
        yield f'<tr><td><a href="{page}">{what}</a><td>{made} UTC<td><a href="/{manifest.address}/">files</a>'


def _readable(store: Store) -> Iterator[tuple[str, Manifest]]:
    for address in store.addresses():
        try:
            manifest = store.find(address)
        except Damaged:
            continue  # `effreason artifacts verify` is there to tell of it
        if manifest is not None:
            yield address, manifest


def _file_row(file: StoredFile) -> str:
    path = PurePosixPath(file.path)
    return f'<tr><td><a href="{quote(str(path))}">{escape(str(path))}</a><td>{file.size:,} bytes'
