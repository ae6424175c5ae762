"""The baseline that needs no training: the base model, asked for brevity."""

from pathlib import Path

import pytest

from effreason.choices import BuiltInModel, FolderModel, HubModel, Prompt
from effreason.experiment import Experiment
from effreason.planning import steps
from effreason.reading import why_unreadable
from effreason.reasoner import WEIGHTS

BUILT_IN, HUB = BuiltInModel(), HubModel(name="m", id="some/thing")


def experiment(*models: object, **data: object) -> Experiment:
    return Experiment.model_validate({"name": "x", "models": models, "alphas": [0.0, 0.2], "data": data})


def test_every_model_that_can_read_it_is_asked_once_for_brevity_and_the_report_knows_where():
    asked = experiment(HUB, BUILT_IN)
    nodes = {node.label: node.spec for node in steps(asked)}
    concise = nodes["evaluate m concise"]
    assert concise.policy is None
    assert concise.asking("validation").prompt == Prompt(template="{question}\nBe concise.")
    assert "evaluate reasoner concise" not in nodes
    read, unread = nodes["report"].references
    assert (read.model, read.evaluation, read.instruction, read.reason) == ("m", concise.address, "Be concise.", None)
    assert (unread.model, unread.evaluation) == ("reasoner", None)
    assert unread.reason == "Its vocabulary of 54 tokens lacks “Be”, “concise”."


def test_it_differs_from_the_plain_measurement_in_its_prompts_alone():
    suites = ["gsm8k", {"name": "hard", "source": {"kind": "math500"}, "prompt": {"template": "Q: {question}\nA:"}}]
    asked = experiment(HUB, suites=suites, prompt={"system": "Be kind."})
    problems = asked.prepare_spec().address
    plain, concise = asked.evaluate_spec(HUB, None, problems), asked.concise_evaluate_spec(HUB, problems)
    assert concise.asking("gsm8k").prompt == Prompt(template="{question}\nBe concise.", system="Be kind.")
    assert concise.asking("hard").prompt.template == "Q: {question}\nBe concise.\nA:"
    for part in ("gsm8k", "hard", "validation"):
        assert concise.asking(part).protocol == plain.asking(part).protocol


def test_an_empty_instruction_asks_nobody():
    asked = experiment(HUB, concise="")
    assert [node.label for node in steps(asked) if "concise" in node.label] == []
    assert list(steps(asked))[-1].spec.references == ()


def test_a_model_of_few_words_is_asked_in_its_own():
    asked = experiment(BUILT_IN, concise="no check")
    assert [node.label for node in steps(asked) if "concise" in node.label] == ["evaluate reasoner concise"]


@pytest.mark.parametrize(
    ("tokenizer", "readable"),
    [
        ('{"model": {"type": "WordLevel", "vocab": {"Be": 0, "kind": 1}}}', False),
        ('{"model": {"type": "WordLevel", "vocab": {"Be": 0, "concise": 1}}}', True),
        ('{"model": {"type": "BPE", "vocab": {"B": 0, "e": 1}}}', True),
        ('{"model": {"type": "Unigram", "vocab": [["B", 0.0]]}}', True),
        ("no JSON", True),
        (None, True),
    ],
)
def test_only_a_closed_list_of_words_can_lack_one(tmp_path: Path, tokenizer: str | None, readable: bool):
    if tokenizer is not None:
        (tmp_path / "tokenizer.json").write_text(tokenizer)
    assert (why_unreadable(FolderModel(name="m", path=str(tmp_path)), "Be concise.") is None) == readable


def test_a_copy_of_the_built_in_model_reads_no_more_than_it():
    assert why_unreadable(FolderModel(name="copy", path=str(WEIGHTS)), "Be concise.")
