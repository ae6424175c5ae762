"""An experiment tied to exact inputs."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from effreason import reasoner
from effreason.choices import FileSource, FolderModel, Gsm8kSource, HubModel, Model, Source
from effreason.errors import UserError
from effreason.experiment import Experiment
from effreason.pinning import pin

COMMIT = "0123456789abcdef" * 2 + "01234567"


def experiment(*models: Model | dict[str, str], source: Source | None = None) -> Experiment:
    data = {"source": source} if source else {}
    return Experiment.model_validate(
        {"name": "x", "models": models or [{"source": "builtin"}], "alphas": [0], "data": data}
    )


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def folder_model(path: Path | str, **fields: str) -> FolderModel:
    return FolderModel(name="mine", path=str(path), **fields)


def test_the_built_in_model_carries_its_digest() -> None:
    (model,) = pin(experiment(), Path()).models
    assert model.digest == reasoner.digest()


def test_a_folder_becomes_absolute_and_carries_its_digest(model_folder: Path) -> None:
    (model,) = pin(experiment(folder_model("model")), model_folder.parent).models
    assert model.path == str(model_folder)
    assert len(model.digest) == 64


def test_pinning_twice_changes_nothing(model_folder: Path) -> None:
    once = pin(experiment(folder_model("model")), model_folder.parent)
    assert pin(once, Path("/")) == once


def test_the_digest_follows_every_byte_and_every_name(model_folder: Path) -> None:
    def digest() -> str | None:
        return pin(experiment(folder_model(model_folder)), Path()).models[0].digest

    seen = [digest()]
    (model_folder / "model.safetensors").write_bytes(b"other weights")
    seen.append(digest())
    (model_folder / "model.safetensors").rename(model_folder / "renamed.safetensors")
    seen.append(digest())
    assert len(set(seen)) == 3
    (model_folder / ".cache").mkdir()
    (model_folder / ".cache" / "lock").write_text("x")
    assert digest() == seen[-1]


def test_specs_do_not_depend_on_where_files_lie(model_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text('{"question": "1 + 1?", "answer": "2"}\n')
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    shutil.copytree(model_folder, moved / "model")
    shutil.copy(tmp_path / "mine.jsonl", moved / "renamed.jsonl")
    one = pin(experiment(folder_model("model"), source=FileSource(path="mine.jsonl")), tmp_path)
    other = pin(experiment(folder_model("model"), source=FileSource(path="renamed.jsonl")), moved)
    assert one != other
    assert one.prepare_spec().address == other.prepare_spec().address
    key, other_key = next(one.cells()), next(other.cells())
    problems = one.prepare_spec().address
    assert one.train_spec(key, problems).address == other.train_spec(other_key, problems).address


def test_a_changed_file_gives_another_address(tmp_path: Path) -> None:
    addresses = set()
    for answer in ("2", "3"):
        (tmp_path / "mine.jsonl").write_text(json.dumps({"question": "1 + 1?", "answer": answer}))
        addresses.add(pin(experiment(source=FileSource(path="mine.jsonl")), tmp_path).prepare_spec().address)
    assert len(addresses) == 2


def test_a_digest_that_does_not_fit_is_refused(model_folder: Path) -> None:
    with pytest.raises(UserError, match="have the digest"):
        pin(experiment(folder_model(model_folder, digest="0" * 64)), Path())


def test_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no file .*none\.jsonl"):
        pin(experiment(source=FileSource(path="none.jsonl")), tmp_path)
    with pytest.raises(UserError, match="no folder"):
        pin(experiment(folder_model("none")), tmp_path)
    with pytest.raises(UserError, match=r"neither train\.jsonl nor train\.parquet"):
        pin(experiment(source=Gsm8kSource(folder="none")), tmp_path)


def test_a_folder_without_a_configuration_or_weights_is_refused(model_folder: Path) -> None:
    (model_folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match="no weights"):
        pin(experiment(folder_model(model_folder)), Path())
    (model_folder / "config.json").unlink()
    with pytest.raises(UserError, match=r"no config\.json"):
        pin(experiment(folder_model(model_folder)), Path())


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt"])
def test_pickled_weights_alone_are_refused(model_folder: Path, name: str) -> None:
    (model_folder / "model.safetensors").rename(model_folder / name)
    with pytest.raises(UserError, match=r"only as pickle files.*safetensors"):
        pin(experiment(folder_model(model_folder)), Path())


def test_a_gguf_file_needs_neither_configuration_nor_safetensors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no file model\.gguf"):
        pin(experiment(folder_model(tmp_path, gguf_file="model.gguf")), Path())
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    assert pin(experiment(folder_model(tmp_path, gguf_file="model.gguf")), Path()).models[0].digest


def test_a_commit_is_pinned_without_asking_anybody() -> None:
    model = HubModel(name="m", id="a/b", revision=COMMIT)
    assert pin(experiment(model), Path()).models == (model,)


def test_pinning_imports_no_framework() -> None:
    script = "import sys, effreason.pinning; sys.exit(bool({'torch', 'transformers', 'datasets'} & {*sys.modules}))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


# ---------------------------------------------------------------------------------------------------- the hub

ASK = """
import json, sys
from effreason.errors import EffreasonError
from effreason.hub import commit_of
try:
    print(json.dumps(["commit", commit_of(*sys.argv[1:])]))
except EffreasonError as error:
    print(json.dumps([type(error).__name__, str(error)]))
"""


def ask(endpoint: str, kind: str, id: str, revision: str = "main") -> list[str]:
    """What `commit_of` says in a process whose hub is at `endpoint`: the library reads it once, when imported."""
    environment = {**os.environ, "HF_ENDPOINT": endpoint}
    environment.pop("HF_HUB_OFFLINE", None)
    run = subprocess.run(
        [sys.executable, "-c", ASK, kind, id, revision], env=environment, capture_output=True, text=True, check=True
    )
    return json.loads(run.stdout)


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    """A server that answers as the hub does for one open model, one data set, and one gated model."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class _Hub(BaseHTTPRequestHandler):
    ANSWERS = {
        "/api/models/open/model/revision/main": (200, "", {"id": "open/model", "sha": COMMIT, "siblings": []}),
        "/api/datasets/open/data/revision/main": (200, "", {"id": "open/data", "sha": COMMIT, "siblings": []}),
        "/api/models/gated/model/revision/main": (200, "", {"id": "gated/model", "sha": COMMIT, "gated": "manual"}),
        "/api/models/gated/model/auth-check": (403, "GatedRepo", {"error": "gated"}),
        "/api/models/open/model/revision/none": (404, "RevisionNotFound", {"error": "no revision"}),
        "/api/models/busy/model/revision/main": (503, "", {"error": "busy"}),
    }

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        status, code, body = self.ANSWERS.get(path, (404, "RepoNotFound", {"error": "no repository"}))
        content = json.dumps(body).encode()
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(("kind", "id"), [("model", "open/model"), ("dataset", "open/data")])
def test_a_branch_becomes_the_commit_it_names(hub: str, kind: str, id: str) -> None:
    assert ask(hub, kind, id) == ["commit", COMMIT]


@pytest.mark.parametrize(
    ("id", "revision", "kind_of_error", "sentence"),
    [
        ("open/model", "none", "UserError", "has no revision none"),
        ("no/model", "main", "UserError", "There is no model no/model on the hub, or it is private. Check its id"),
        ("gated/model", "main", "UserError", "gated and HF_TOKEN gives no access to it. Accept its terms"),
        ("busy/model", "main", "StepFailure", "cannot be reached for the model busy/model"),
        ("a/b/c", "main", "UserError", "is not a valid id of a model"),
    ],
)
def test_what_the_hub_refuses_is_said_with_the_remedy(
    hub: str, id: str, revision: str, kind_of_error: str, sentence: str
) -> None:
    error, said = ask(hub, "model", id, revision)
    assert error == kind_of_error
    assert sentence in said


def test_an_unreachable_hub_is_said_quickly() -> None:
    started = time.monotonic()
    error, said = ask("http://127.0.0.1:9", "model", "open/model")
    assert error == "StepFailure"
    assert 'Check the network, or use a local copy (source = "folder")' in said
    assert time.monotonic() - started < 15
