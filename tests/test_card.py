"""The model card names the data, tells no path of the machine, and its commands make the policy again."""

import json
import re
import shlex
import signal

import pytest
from made_up_artifact import PROVENANCE, folder_of
from tiny_training import tiny_spec

from effreason.artifacts import Policy, Problems
from effreason.choices import (
    BuiltInModel,
    FileSource,
    FolderHome,
    FolderModel,
    Gsm8kSource,
    HubSource,
    Math500Source,
    Prompt,
    ReasoningGymSource,
    VllmServer,
)
from effreason.cli import main
from effreason.experiment import Data, Experiment
from effreason.order import Order
from effreason.shipping.card import card
from effreason.shipping.data import source_told
from effreason.specs import PrepareSpec, Suite, Training
from effreason.steps import produce
from effreason.store import open_store
from effreason.store.folder import FolderStore
from effreason.workbench import Runtime

COMMIT, DIGEST, HIDDEN = "c" * 40, "d" * 64, "/home/somebody/secret"
HUB = HubSource(id="owner/sums", config="hard", revision=COMMIT, train_split="training", test_split="held-out")
FILE = FileSource(path=f"{HIDDEN}/sums.jsonl", test_path=f"{HIDDEN}/tests.jsonl", digest=DIGEST)


def sealed(folder, source, model=None, **training):
    """A made-up policy of a made-up preparation, in a store of its own."""
    store = FolderStore(folder / "store")
    files = folder_of(folder / "files", {"train.jsonl": b""})
    suites = (Suite(name="mine", source=source), Suite(name="gsm8k", source=Gsm8kSource(folder=HIDDEN, digest=DIGEST)))
    problems = PrepareSpec(source=source, train_problems=900, validation_problems=30, suites=suites, seed=7)
    counts = {"train": 871, "validation": 29, "suites": {"mine": 41, "gsm8k": 53}, "dropped": {"duplicate": 12}}
    store.seal(problems, Problems(address=problems.address, **counts), files, PROVENANCE)
    spec = tiny_spec(**training).model_copy(update={"problems": problems.address, "model": model or BuiltInModel()})
    figures = {"alpha": spec.alpha, "seed": spec.seed, "steps": 5, "generated_tokens": 9, "seconds": 1.0}
    store.seal(spec, Policy(address=spec.address, model=spec.model.name, **figures), files, PROVENANCE)
    return store, store.find(spec.address)


def orders_in(page: str) -> list[Order]:
    return [Order.model_validate_json(text) for text in re.findall(r"```json\n(.*?)```", page, re.DOTALL)]


def test_the_card_names_data_sets_of_the_hub_with_configuration_split_commit_and_counts(tmp_path):
    store, policy = sealed(tmp_path, HUB)
    page = card(store, policy, "x", adapter=False)
    assert f"| training | owner/sums, configuration hard, split training, at {COMMIT} | 871 |" in page
    assert f"| suite mine | owner/sums, configuration hard, split held-out, at {COMMIT} | 41 |" in page
    assert f"| suite gsm8k | a copy of openai/gsm8k, configuration main, split test, digest {DIGEST} | 53 |" in page
    assert "| validation, on which alpha is chosen | apart from training, of the same data | 29 |" in page
    assert "Drawn with seed 7; left out: duplicate 12." in page
    assert "datasets: [owner/sums]\n" in page.split("---")[1]


@pytest.mark.parametrize(
    ("source", "split", "said"),
    [
        (FILE, "train", f"sums.jsonl, digest {DIGEST} over both files"),
        (FILE, "test", f"tests.jsonl, digest {DIGEST} over both files"),
        (FILE.model_copy(update={"test_path": None}), "test", f"the other tenth of sums.jsonl, digest {DIGEST}"),
        (
            HubSource(id="a/b", revision=COMMIT, test_split=None),
            "test",
            f"a/b, the other tenth of split train, at {COMMIT}",
        ),
        (Gsm8kSource(revision=COMMIT), "train", f"openai/gsm8k, configuration main, split train, at {COMMIT}"),
        (Math500Source(revision=COMMIT), "test", f"HuggingFaceH4/MATH-500, split test, at {COMMIT}"),
        (ReasoningGymSource(task="gcd", options={"n": 3}), "train", 'reasoning-gym, task gcd, options {"n": 3}'),
    ],
)
def test_every_source_is_told_by_what_identifies_it(source, split, said):
    assert source_told(source, split) == said


def test_the_orders_tell_no_place_of_the_machine_and_have_the_same_addresses(tmp_path):
    base = FolderModel(name="base", path=f"{HIDDEN}/weights", digest=DIGEST)
    engine = VllmServer(url="http://inner.example:8000", folder=f"{HIDDEN}/handing-over")
    store, policy = sealed(tmp_path, FILE, base, engine=engine)
    page = card(store, policy, "x", adapter=False)
    assert HIDDEN not in page and "inner.example" not in page
    assert [order.spec.address for order in orders_in(page)] == [policy.spec.problems, policy.address]
    assert orders_in(page)[0].spec.source.path == "sums.jsonl"
    assert "Fill in the paths of secret, sums.jsonl, tests.jsonl, weights first" in page


def test_the_card_of_a_policy_whose_problems_are_gone_says_so(tmp_path):
    _, policy = sealed(tmp_path, HUB)
    page = card(FolderStore(tmp_path / "empty"), policy, "x", adapter=False)
    assert page.count("he store no longer holds the problems") == 2
    assert [order.spec.address for order in orders_in(page)] == [policy.address]


def test_the_commands_of_the_card_make_the_policy_again(tmp_path, monkeypatch):
    training = Training(steps=1, prompts_per_step=2, completions_per_prompt=2, max_tokens=16, temperature=0.9)
    suite = Suite(name="chain-sum", source=Data().source, problems=4)
    data = Data(train_problems=8, validation_problems=2, suites=(suite,), prompt=Prompt(template="{question}"))
    experiment = Experiment(name="x", models=(BuiltInModel(),), alphas=(0.2,), training=training, data=data)
    problems = experiment.prepare_spec()
    first = open_store(FolderHome(path=str(tmp_path / "first")))
    before = produce(problems, first)
    policy = produce(experiment.train_spec(next(experiment.cells()), problems.address), first, Runtime(threads=1))
    page = card(first, policy, "x", adapter=False)
    monkeypatch.chdir(tmp_path)
    for name, order in re.findall(r"<summary>(.*?)</summary>\n\n```json\n(.*?)```", page, re.DOTALL):
        (tmp_path / name).write_text(order)
    usual = signal.getsignal(signal.SIGTERM)
    try:
        for line in re.search(r"```bash\n(effreason step .*?)\n```", page, re.DOTALL)[1].splitlines():
            assert main(shlex.split(line)[1:]) == 0
    finally:
        signal.signal(signal.SIGTERM, usual)
    again = FolderStore(tmp_path / "reproduced")
    assert json.loads((tmp_path / "train.json").read_text())["spec"] == policy.spec.model_dump(mode="json")
    assert {file.path: file.sha256 for file in again.find(problems.address).files} == {
        file.path: file.sha256 for file in before.files
    }
    assert again.find(policy.address).artifact.generated_tokens == policy.artifact.generated_tokens
