"""The files of a model that a vLLM server is handed. The server is a stub; no vLLM is needed."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub.utils import filter_repo_objects
from safetensors.torch import save_file
from stub_vllm import FIRST_TOKEN, StubVllm, laid_down, weights

from effreason.choices import BuiltInModel, VllmServer
from effreason.errors import StepFailure
from effreason.generation import Limits, Request
from effreason.generation.vllm_server import ServedGenerator
from effreason.generation.vllm_snapshot import folder_of
from effreason.models import Stored, stored

COMMIT = "c" * 40


@pytest.fixture(scope="module")
def built_in(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    return stored(BuiltInModel(), tmp_path_factory.mktemp("stored"))


@pytest.fixture
def server(built_in: Stored) -> Iterator[StubVllm]:
    stub = StubVllm(min(built_in.eos_ids))
    yield stub
    stub.shutdown()
    stub.server_close()


def served(generator: ServedGenerator) -> int:
    """Which weights draw a completion."""
    [[completion]] = generator.generate([Request((5,), 1, 0)], Limits(0.0, 1.0, 5))
    return completion.token_ids[0] - FIRST_TOKEN


def pinned(built_in: Stored) -> Stored:
    return Stored("owner/name", COMMIT, False, built_in.tokenizer, built_in.eos_ids)


@pytest.mark.parametrize("shared", [False, True])
def test_a_model_of_the_hub_is_served_at_the_revision_that_is_pinned(server, built_in, tmp_path, monkeypatch, shared):
    commits = {COMMIT: laid_down(tmp_path / "pinned", 7), "main": laid_down(tmp_path / "main", 8)}
    monkeypatch.setattr(
        huggingface_hub, "snapshot_download", lambda id, *, revision="main", **_: str(commits[revision])
    )
    folder = str(tmp_path) if shared else None
    with closing(ServedGenerator(VllmServer(url=server.url, folder=folder), pinned(built_in))) as generator:
        assert served(generator) == 7


def test_a_model_of_which_the_hub_gave_a_part_is_not_served(server, built_in, tmp_path, monkeypatch):
    shards = [f"model-0000{place}-of-00002.safetensors" for place in (1, 2)]
    save_file(weights(7), tmp_path / shards[0])
    index = {"weight_map": {"which": shards[0], "other": shards[1]}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda id, **_: str(tmp_path))
    with pytest.raises(StepFailure, match=f"{shards[1]} of the model owner/name at {COMMIT} was not fetched"):
        ServedGenerator(VllmServer(url=server.url), pinned(built_in))


def test_a_hub_that_is_out_of_reach_is_named(server, built_in):
    with pytest.raises(StepFailure, match="hub cannot be reached for the model owner/name"):
        ServedGenerator(VllmServer(url=server.url), pinned(built_in))


@pytest.fixture
def handed(server: StubVllm, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, int]]:
    """For each time that weights are handed over, the modes of the folder (".") and of the files in it."""
    seen: list[dict[str, int]] = []
    reload = server.worker.reload_weights

    def noted(weights_iterator: None, weights_path: str) -> None:
        folder = Path(weights_path)
        found = {".": folder} | {file.name: file for file in folder.iterdir()}
        seen.append({name: path.stat().st_mode & 0o777 for name, path in found.items()})
        reload(weights_iterator, weights_path)

    monkeypatch.setattr(server.worker, "reload_weights", noted)
    return seen


@pytest.fixture
def share(tmp_path: Path) -> Path:
    """Where weights are laid down for a server of another user."""
    folder = tmp_path / "share"
    folder.mkdir()
    return folder


def mine(built_in: Stored, folder: Path) -> Stored:
    """A model in a folder that its owner alone can read."""
    laid_down(folder, 1).chmod(0o700)
    (folder / "model.safetensors").chmod(0o600)
    return Stored(str(folder), None, False, built_in.tokenizer, built_in.eos_ids)


def test_what_is_laid_down_for_a_server_may_be_read_by_another_user(server, built_in, tmp_path, share, handed):
    model = mine(built_in, tmp_path / "mine")
    with closing(ServedGenerator(VllmServer(url=server.url, folder=str(share)), model)) as generator:
        generator.load(weights(2).items())
        assert served(generator) == 2
    assert handed == [{".": 0o755, "model.safetensors": 0o644}] * 2
    assert list(share.iterdir()) == []


def test_only_what_is_read_of_a_model_is_handed_over(server, built_in, tmp_path, share, handed):
    model = mine(built_in, tmp_path / "mine")
    for name in ("config.json", "consolidated.safetensors", ".env", "notes.txt"):
        (tmp_path / "mine" / name).write_text("{}")
    (tmp_path / "mine" / "checkpoint-5").mkdir()
    ServedGenerator(VllmServer(url=server.url, folder=str(share)), model).close()
    assert handed[0].keys() == {".", "config.json", "model.safetensors"}


def test_weights_that_the_hub_has_twice_are_fetched_once(tmp_path, built_in, monkeypatch):
    there = ["config.json", "model.safetensors", "consolidated.safetensors", "original/model.safetensors", "README.md"]
    fetched: list[str] = []

    def snapshot_download(id: str, **how: list[str]) -> str:
        patterns = {name: how[name] for name in ("allow_patterns", "ignore_patterns")}
        fetched.extend(filter_repo_objects(there, **patterns))
        return str(laid_down(tmp_path / "snapshot", 7))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    folder_of(pinned(built_in))
    assert fetched == ["config.json", "model.safetensors"]
