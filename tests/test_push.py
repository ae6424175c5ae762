"""An exported folder sent to a hub: a fake one on loopback, which takes every file as it comes."""

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

TOKEN = "hf_" + "x" * 34
EXPORTED = ("README.md", "config.json", "model.safetensors")


class FakeHub(BaseHTTPRequestHandler):
    """Answers what creating a repository and committing to it ask."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        hub = self.server
        hub.asked.append((self.path, self.headers.get("Authorization")))
        if hub.refusal:
            self._answer(hub.refusal, {"error": "no"})
        elif self.path == "/api/repos/create":
            hub.created.append(json.loads(body))
            self._answer(200, {"url": f"{hub.address}/me/shorter"})
        elif "/preupload/" in self.path:
            files = [{"path": one["path"], "uploadMode": "regular", "shouldIgnore": False, "oid": None}
                     for one in json.loads(body)["files"]]  # fmt: skip
            self._answer(200, {"files": files})
        elif "/commit/" in self.path:
            hub.lines += [json.loads(line) for line in body.splitlines()]
            self._answer(200, {"commitUrl": f"{hub.address}/me/shorter/commit/1", "commitOid": "1" * 40})
        else:
            self._answer(200, {})

    def do_GET(self) -> None:
        if "/tree/" in self.path:
            files = [{"type": "file", "path": path, "size": 1, "oid": "a" * 40} for path in self.server.lying_there]
            self._answer(200, files)
        else:
            self._answer(200, {"id": "me/shorter", "sha": "1" * 40, "siblings": []})

    def _answer(self, status: int, told: object) -> None:
        content = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), FakeHub)
    server.address = f"http://127.0.0.1:{server.server_address[1]}"
    server.asked, server.created, server.lines, server.refusal, server.lying_there = [], [], [], None, []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def pushed(hub: ThreadingHTTPServer, folder: Path, repository: str = "me/shorter") -> subprocess.CompletedProcess[str]:
    """In a process of its own: the address of the hub is read on import."""
    code = (
        "import sys, pathlib\nfrom effreason.errors import EffreasonError\nfrom effreason.shipping.push import push\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "try:\n    print(push(folder, sys.argv[3:], sys.argv[2]))\n"
        "except EffreasonError as error:\n    print(error)\n    sys.exit(error.exit_code)"
    )
    environment = {**os.environ, "HF_ENDPOINT": hub.address, "HF_TOKEN": TOKEN, "HF_HUB_OFFLINE": "0"}
    command = [sys.executable, "-c", code, str(folder), repository, *EXPORTED]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "README.md").write_text("---\nlicense: apache-2.0\n---\n# x")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "config.json").write_text("{}")
    return tmp_path


def test_every_file_arrives_in_a_private_repository_and_the_token_is_never_printed(hub, folder):
    done = pushed(hub, folder)
    assert done.returncode == 0, done.stdout + done.stderr
    files = {line["value"]["path"]: line["value"]["content"] for line in hub.lines if line["key"] == "file"}
    sent = {path: base64.b64decode(content) for path, content in files.items()}
    assert sent == {path.name: path.read_bytes() for path in folder.iterdir()}
    assert hub.created[0]["visibility"] == "private" and hub.created[0]["name"] == "shorter"
    assert {token for path, token in hub.asked if "yaml" not in path} == {f"Bearer {TOKEN}"}
    assert TOKEN not in done.stdout + done.stderr


def test_what_was_not_exported_is_never_sent(hub, folder):
    (folder / ".env").write_text("SECRET=1")
    (folder / "notes.txt").write_text("mine")
    assert pushed(hub, folder).returncode == 0
    assert {line["value"]["path"] for line in hub.lines if line["key"] == "file"} == set(EXPORTED)


def test_the_model_that_lies_in_the_repository_makes_way_in_the_same_commit_and_other_files_stay(hub, folder):
    old = {"model-00001-of-00002.safetensors", "model.safetensors.index.json", "adapter_config.json", "tekken.json",
           "adapter_model.safetensors", "additional_chat_templates/tool.jinja"}  # fmt: skip
    kept = {".gitattributes", "LICENSE", "runs/model.safetensors", "figures/loss.png"}
    hub.lying_there = sorted(old | kept | set(EXPORTED))
    done = pushed(hub, folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {line["value"]["path"] for line in hub.lines if line["key"] == "deletedFile"} == old
    assert {line["value"]["path"] for line in hub.lines if line["key"] == "file"} == set(EXPORTED)
    assert [line["key"] for line in hub.lines].count("header") == 1


@pytest.mark.parametrize(("status", "code", "remedy"), [(403, 2, "HF_TOKEN"), (400, 1, "again")])
def test_a_refusal_is_told_with_its_remedy(hub, folder, status, code, remedy):
    hub.refusal = status
    done = pushed(hub, folder)
    assert done.returncode == code and remedy in done.stdout
    assert "Traceback" not in done.stderr and TOKEN not in done.stdout + done.stderr


def test_a_name_that_is_none_is_refused(hub, folder):
    done = pushed(hub, folder, "me/../x y")
    assert done.returncode == 2 and "not a valid repository name" in done.stdout
