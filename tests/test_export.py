"""A policy that is shipped loads in plain transformers, answers as it did here, and has a card that says what it is."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest
import torch
from huggingface_hub import metadata_load
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from effreason.choices import FolderHome, FolderModel, HubModel, Lora, Prompt
from effreason.cli import main
from effreason.commands.cells import named_policies
from effreason.errors import UserError
from effreason.experiment_file import prepared
from effreason.generation import Limits, Request
from effreason.generation.sampler import open_sampler
from effreason.models import load
from effreason.planning import steps
from effreason.prompts import render
from effreason.reasoner import WEIGHTS
from effreason.shipping.adapter import write_adapter
from effreason.shipping.card import card, licence_of
from effreason.steps import produce
from effreason.store import open_store
from effreason.store.folder import FolderStore
from effreason.workbench import Runtime

ROOT = Path(__file__).parent.parent
SMALL = str(Path(__file__).parent / "data" / "small.toml")
QUESTIONS = ("3 + 4 + 5", "9 + 8 + 7 + 6", "1 + 1", "12 + 30 + 4", "7 + 7 + 7")
VLLM = ROOT / ".venv-vllm" / "bin" / "vllm"
LORA = Lora(rank=4, scale=8)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def experiment():
    plain = prepared(SMALL)
    training = plain.training.model_copy(update={"weights": LORA, "learning_rate": 1e-2})
    return plain, plain.model_copy(update={"training": training})


@pytest.fixture(scope="module")
def policies(experiment, place):
    """Trained: all weights, with its evaluations; the same cell by LoRA, unmeasured; and the control beside it."""
    full, adapted = experiment
    store = open_store(FolderHome(path=str(place)))
    for node in steps(full):
        produce(node.spec, store, Runtime(threads=1, device="cpu"))
    control, key = full.cells()
    problems = full.prepare_spec().address
    lora = produce(adapted.train_spec(key, problems), store, Runtime(threads=1, device="cpu"))
    plain = {"full": key, "control": control}
    return {name: store.find(full.train_spec(cell, problems).address) for name, cell in plain.items()} | {"lora": lora}


def exported(policy, place: Path, folder: Path, *more: str) -> Path:
    assert main(["export", policy.address, str(folder), "--store", str(place), *more]) == 0
    return folder


def our_answers(policy, place: Path, folder: Path) -> list[list[int]]:
    store = open_store(FolderHome(path=str(place)))
    model = store.fetch(policy, folder, ["model/"]) / "model"
    loaded = load(policy.spec.model, "cpu", "float32", policy=model)
    requests = [Request(render(policy.spec.prompt, one, loaded.tokenizer), 1, 0) for one in QUESTIONS]
    return [list(one.token_ids) for (one,) in open_sampler(loaded).generate(requests, Limits(0, 1, 100))]


@torch.inference_mode()
def their_answers(model, tokenizer, policy) -> list[list[int]]:
    answers = []
    for question in QUESTIONS:
        ids = torch.tensor([render(policy.spec.prompt, question, tokenizer)])
        output = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=100)
        answers.append(output[0, ids.shape[1] :].tolist())
    return answers


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_an_exported_policy_answers_in_plain_transformers_as_it_does_here(kind, policies, place, tmp_path):
    folder = exported(policies[kind], place, tmp_path / "model")
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    here = our_answers(policies[kind], place, tmp_path)
    assert their_answers(model, tokenizer, policies[kind]) == here
    assert len({tuple(answer) for answer in here}) > 1


def test_an_exported_adapter_over_its_base_answers_as_the_policy_does(policies, place, tmp_path):
    policy = policies["lora"]
    folder = exported(policy, place, tmp_path / "adapter", "--adapter")
    assert not (folder / "model.safetensors").exists()
    base = load(policy.spec.model, "cpu", "float32")
    untouched = their_answers(base.model, base.tokenizer, policy)
    adapted = PeftModel.from_pretrained(base.model, folder)
    here = our_answers(policy, place, tmp_path)
    assert their_answers(adapted, AutoTokenizer.from_pretrained(folder), policy) == here
    assert untouched != here  # or the training left nothing to carry over


def test_a_policy_with_all_weights_trained_has_no_adapter(policies, place, tmp_path, capsys):
    arguments = ["export", policies["full"].address, str(tmp_path / "x"), "--store", str(place), "--adapter"]
    assert main(arguments) == 2
    assert "no adapter" in capsys.readouterr().err


def test_the_card_has_the_results_of_base_and_policy_with_intervals(policies, place, tmp_path):
    page = (exported(policies["full"], place, tmp_path / "model") / "README.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| chain-sum")]
    assert [line.split("|")[3].strip() for line in rows] == ["base", "this model"]
    assert all(line.count("[") == line.count("]") == 3 for line in rows)


def test_the_part_on_which_alpha_is_chosen_is_no_result(policies, place, tmp_path):
    page = (exported(policies["full"], place, tmp_path / "model") / "README.md").read_text()
    results = page.split("## Results")[1].split("## Limits")[0]
    assert policies["full"].spec.problems in page and "chain-sum" in results
    assert "validation" not in results


def test_the_card_of_a_control_claims_no_penalty(policies, place, tmp_path):
    cards = {name: (exported(policies[name], place, tmp_path / name) / "README.md").read_text() for name in policies}
    said = {name: card.split("## How to reproduce")[0] for name, card in cards.items()}
    assert "without a penalty for length: a control" in said["control"] and "none (alpha 0)" in said["control"]
    assert "fewer tokens" not in said["control"] and "rewarded" not in said["control"]
    assert "fewer tokens" in said["full"] and "sigmoid, alpha 0.4" in said["full"] and "rewarded" in said["full"]


def test_the_card_of_an_unmeasured_policy_says_so(policies, place, tmp_path):
    page = (exported(policies["lora"], place, tmp_path / "model") / "README.md").read_text()
    assert "Not measured" in page


def test_the_card_carries_licence_and_spec(policies, place, tmp_path):
    path = exported(policies["full"], place, tmp_path / "model") / "README.md"
    front = metadata_load(path)
    assert front["license"] == "apache-2.0" and front["library_name"] == "transformers"
    order = path.read_text().split("```json\n")[2].split("```")[0]
    assert json.loads(order)["spec"] == policies["full"].spec.model_dump(mode="json")


def test_a_folder_with_something_in_it_is_left_alone_unless_asked(policies, place, tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("mine")
    arguments = ["export", policies["full"].address, str(tmp_path), "--store", str(place)]
    assert main(arguments) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.txt"]
    assert main([*arguments, "--overwrite"]) == 0
    assert (tmp_path / "config.json").is_file() and (tmp_path / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("place_of", "code", "said"),
    [
        (lambda folder: folder / "file" / "sub", 2, "cannot be used as a folder"),
        (lambda folder: folder / "file", 2, "cannot be used as a folder"),
        (lambda folder: folder / ("x" * 300), 2, "cannot be used as a folder"),
        (lambda folder: Path("/proc/nowhere"), 1, "/proc/nowhere"),
    ],
    ids=["below a file", "a file", "too long", "no disk"],
)
def test_a_folder_that_cannot_be_is_refused_in_one_sentence(place_of, code, said, policies, place, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    arguments = ["export", policies["full"].address, str(place_of(tmp_path)), "--store", str(place)]
    assert main(arguments) == code
    assert said in capsys.readouterr().err


def test_a_name_that_no_repository_can_have_is_refused_before_anything_is_exported(policies, place, tmp_path, capsys):
    arguments = ["export", policies["full"].address, str(tmp_path / "model"), "--store", str(place)]
    for name in ("me/../x y", "a/b/c", ""):
        assert main([*arguments, "--push", name]) == 2
        assert "not a valid repository name" in capsys.readouterr().err
    assert not (tmp_path / "model").exists()


def test_what_is_exported_into_the_folder_that_one_is_in_has_its_name(policies, place, tmp_path, monkeypatch):
    (tmp_path / "shorter").mkdir()
    monkeypatch.chdir(tmp_path / "shorter")
    assert "\n# shorter\n" in (exported(policies["full"], place, Path(".")) / "README.md").read_text()


@pytest.mark.parametrize(
    "page",
    [b"---\n- a\n- b\n---\n# x", b"---\na: [\n---\n# x", b"---\nlicense: \xff\n---\n"],
    ids=["list", "yaml", "bytes"],
)
def test_a_base_whose_card_cannot_be_read_has_no_licence_that_is_known(page, tmp_path):
    (tmp_path / "README.md").write_bytes(page)
    assert licence_of(FolderModel(name="odd", path=str(tmp_path))) is None


def test_the_card_says_all_of_how_the_question_was_put(policies, place):
    def said(prompt: Prompt) -> str:
        spec = policies["full"].spec.model_copy(update={"prompt": prompt})
        policy = policies["full"].model_copy(update={"spec": spec})
        page = card(open_store(FolderHome(path=str(place))), policy, "x", adapter=False)
        return page.split("## How to use")[1].split("## How to reproduce")[0]

    whole = said(Prompt(template="Sum: {question}", system="Answer in French.", chat=True, thinking=False))
    for part in ("Sum: {question}", "Answer in French.", "in the chat template:", "enable_thinking=False"):
        assert part in whole
    plain = said(Prompt(chat=False, template="{question} in {budget}", budgets=(16, 64)))
    assert "without the chat template" in plain and "from 16 to 64" in plain
    assert "system message" not in plain and "enable_thinking" not in plain


def test_an_adapter_names_the_commit_of_its_base(policies, place, tmp_path, monkeypatch):
    policy, base = policies["lora"], HubModel(name="small", id="me/small", revision="c" * 40)
    here = load(policy.spec.model, "cpu", "float32")
    monkeypatch.setattr("effreason.shipping.adapter.load", lambda *_: here)
    spec = policy.spec.model_copy(update={"model": base})
    store = open_store(FolderHome(path=str(place)))
    write_adapter(spec, store.fetch(policy, tmp_path, ["model/"]) / "model", tmp_path / "adapter")
    told = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert (told["base_model_name_or_path"], told["revision"]) == ("me/small", "c" * 40)
    page = card(store, policy.model_copy(update={"spec": spec}), "x", adapter=True)
    assert f'from_pretrained("me/small", revision="{"c" * 40}")' in page


def test_a_damaged_evaluation_stops_no_export(policies, place, tmp_path):
    store = FolderStore(Path(shutil.copytree(place, tmp_path / "store")))
    measured = next(address for address in store.addresses() if address.startswith("evaluate/"))
    (tmp_path / "store" / measured / "manifest.json").write_text("{")
    exported(policies["control"], tmp_path / "store", tmp_path / "control")
    exported(policies["full"], tmp_path / "store", tmp_path / "full")


def lay_down(former: str, policies, place: Path, folder: Path) -> None:
    """A model in the folder before another is exported into it."""
    if former == "shards":
        load(policies["full"].spec.model, "cpu", "float32").model.save_pretrained(folder, max_shard_size="500KB")
        assert (folder / "model.safetensors.index.json").is_file()
    else:
        exported(policies["lora"], place, folder, *(["--adapter"] if former == "adapter" else []))


@pytest.mark.parametrize(
    ("former", "kind", "more"),
    [("adapter", "full", ()), ("shards", "full", ()), ("merged", "lora", ("--adapter",))],
)
def test_what_is_exported_over_another_model_is_as_in_a_folder_of_its_own(
    former, kind, more, policies, place, tmp_path
):
    alone = exported(policies[kind], place, tmp_path / "alone" / "model", *more)
    lay_down(former, policies, place, tmp_path / "model")
    over = exported(policies[kind], place, tmp_path / "model", "--overwrite", *more)
    files = {path.name: path.read_bytes() for path in alone.iterdir()}
    assert {path.name: path.read_bytes() for path in over.iterdir()} == files


def test_a_model_stays_where_another_cannot_be_exported_over_it(policies, place, tmp_path, capsys):
    folder = exported(policies["lora"], place, tmp_path / "model")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    arguments = ["export", policies["full"].address, str(folder), "--store", str(place), "--adapter", "--overwrite"]
    assert main(arguments) == 2 and "no adapter" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_what_the_base_says_of_sampling_is_shipped_also_where_it_names_no_do_sample(experiment, place, tmp_path):
    base = Path(shutil.copytree(WEIGHTS, tmp_path / "base"))
    said = {"bos_token_id": 1, "eos_token_id": [3, 2], "temperature": 0.9, "top_p": 0.6}
    (base / "generation_config.json").write_text(json.dumps(said))
    plain, _ = experiment
    shortest = plain.training.model_copy(update={"steps": 1, "prompts_per_step": 2, "completions_per_prompt": 2})
    spec = plain.train_spec(next(plain.cells()), plain.prepare_spec().address).model_copy(
        update={"model": FolderModel(name="odd", path=str(base)), "training": shortest}
    )
    store = open_store(FolderHome(path=str(place)))
    produce(plain.prepare_spec(), store)
    policy = produce(spec, store, Runtime(threads=1, device="cpu"))
    shipped = GenerationConfig.from_pretrained(str(exported(policy, place, tmp_path / "model")))
    assert (shipped.temperature, shipped.top_p) == (0.9, 0.6)
    assert (shipped.eos_token_id, shipped.pad_token_id) == ([2, 3], 0)


def test_a_cell_is_named_by_its_alpha_and_seed(policies, place, tmp_path, capsys):
    assert main(["export", f"{SMALL}:alpha=0.40,seed=0", str(tmp_path / "x"), "--store", str(place)]) == 0
    assert policies["full"].address in capsys.readouterr().out


def test_several_cells_are_not_one_policy(policies, place, tmp_path, capsys):
    assert main(["export", SMALL, str(tmp_path / "x"), "--store", str(place)]) == 2
    said = capsys.readouterr().err
    assert "several policies" in said
    remedy = re.search(r"as in `(.+)`", said)[1]
    assert main(["export", remedy, str(tmp_path / "x"), "--store", str(place)]) == 0


def test_the_documentation_names_cells_that_there_are(tmp_path):
    empty = open_store(FolderHome(path=str(tmp_path)))
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "effreason" / "commands").glob("*.py")]
    named = {name for page in pages for name in re.findall(r"\btiny:[\w.=,]*\w", page.read_text(encoding="utf-8"))}
    assert len(named) > 1
    for name in named:
        with pytest.raises(UserError, match="has no policy of"):
            named_policies(name, empty)


@pytest.mark.parametrize(("narrowing", "happened"), [("alpha=9", "no cell with"), ("beta=1", "does not select a cell")])
def test_a_cell_that_is_not_there_is_refused(narrowing, happened, place, policies, tmp_path, capsys):
    assert main(["export", f"{SMALL}:{narrowing}", str(tmp_path / "x"), "--store", str(place)]) == 2
    assert happened in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(not VLLM.exists(), reason="needs .venv-vllm, which `make vllm` builds")
def test_vllm_serves_an_exported_policy_with_its_greedy_answer(policies, place, tmp_path):
    policy = policies["full"]
    folder = exported(policy, place, tmp_path / "model")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [VLLM, "serve", folder, "--port", str(port), "--host", "127.0.0.1", "--dtype", "float32"]
    # Threads bound to cores would sit on those that something else is busy on.
    environment = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(
            [*command, "--enforce-eager", "--served-model-name", "policy"],
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        prompt = list(render(policy.spec.prompt, QUESTIONS[0], AutoTokenizer.from_pretrained(folder)))
        body = {"model": "policy", "prompt": prompt, "temperature": 0, "max_tokens": 100}
        text = _asked_when_up(server, port, body)["choices"][0]["text"]
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(60)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    expected = tokenizer.decode(our_answers(policy, place, tmp_path)[0], skip_special_tokens=True)
    assert text.split() == expected.split()


def _asked_when_up(server: subprocess.Popen[bytes], port: int, body: dict[str, object]) -> dict:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    deadline = time.monotonic() + 600
    while True:
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:  # noqa: S310  loopback
                return json.load(reply)
        except OSError:
            assert server.poll() is None and time.monotonic() < deadline
            time.sleep(1)
