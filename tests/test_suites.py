"""Suites: their short spelling, their own protocols, and what a change of one changes."""

import json
import tomllib

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from effreason.choices import FileSource, Gsm8kSource, HubModel, Math500Source, Prompt, ReasoningGymSource
from effreason.errors import UserError
from effreason.experiment import Experiment
from effreason.experiment_file import load
from effreason.pinning import pin
from effreason.problems.sources import load as problems_of
from effreason.specs import Protocol, Suite

MODEL = HubModel(name="m", id="some/thing")
USUAL = Protocol(samples=4, temperature=0.6, max_tokens=512, pass_at=(1, 4), budgets=(64,))


def experiment(*suites: object, **changes: object) -> Experiment:
    data = {"source": {"kind": "gsm8k"}, "suites": list(suites), **changes}
    return Experiment.model_validate(
        {"name": "x", "models": [MODEL], "alphas": [0.0, 0.2], "data": data, "evaluation": USUAL}
    )


def addresses(asked: Experiment) -> dict[str, str]:
    problems = asked.prepare_spec().address
    key = next(asked.cells())
    return {
        "prepare": problems,
        "train": asked.train_spec(key, problems).address,
        "evaluate": asked.evaluate_spec(MODEL, None, problems).address,
    }


# ------------------------------------------------------------------------------------------------- short spelling


@pytest.mark.parametrize(
    ("text", "suite"),
    [
        ("gsm8k", Suite(name="gsm8k", source=Gsm8kSource())),
        ("math500", Suite(name="math500", source=Math500Source())),
        ("math500:data/math", Suite(name="math500", source=Math500Source(folder="data/math"))),
        ("reasoning-gym:chain_sum", Suite(name="chain_sum", source=ReasoningGymSource(task="chain_sum"))),
        (
            "data/aime24.jsonl",
            Suite(name="aime24", source=FileSource(path="data/aime24.jsonl", test_path="data/aime24.jsonl")),
        ),
    ],
)
def test_a_short_spelling_stands_for_a_suite(text: str, suite: Suite):
    assert experiment(text).data.suites == (suite,)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gsm9k", "did you mean gsm8k"),
        ("math-500", "did you mean math500"),
        ("reasoning-gym", "reasoning-gym:TASK"),
        ("reasoning-gym:", "reasoning-gym:TASK"),
        ("aime24.csv", "ending in .jsonl or .parquet"),
        ("", "there are gsm8k"),
        ("my file.jsonl", "a table with a `name`"),
    ],
)
def test_a_spelling_that_stands_for_nothing_is_answered_with_those_that_do(text: str, said: str):
    with pytest.raises(ValidationError, match=said):
        experiment(text)


TWO_KINDS = """
name = "two-kinds"
alphas = [0.1]

[[models]]
source = "builtin"

[data]
suites = ["gsm8k", { name = "hard", source = { kind = "math500" }, samples = 8, role = "out-of-distribution" }]
"""


def test_both_spellings_stand_side_by_side_in_toml_and_in_its_schema(tmp_path):
    path = tmp_path / "two-kinds.toml"
    path.write_text(TWO_KINDS)
    assert [suite.name for suite in load(str(path)).data.suites] == ["gsm8k", "hard"]
    jsonschema.validate(tomllib.loads(TWO_KINDS), Experiment.model_json_schema())


def test_a_wrong_spelling_in_toml_is_pointed_at(tmp_path):
    path = tmp_path / "wrong.toml"
    path.write_text(TWO_KINDS.replace('"gsm8k"', '"gsm9k"'))
    with pytest.raises(UserError, match=r"wrong\.toml:9: 'gsm9k' is not a known suite; did you mean gsm8k"):
        load(str(path))


@pytest.mark.parametrize("column", ["problem", "question"])
def test_all_rows_of_a_file_are_measured_on_whichever_way_it_calls_its_questions(tmp_path, column: str):
    rows = [{"id": number, column: f"What is {number}?", "answer": number, "solution": ""} for number in range(30)]
    (tmp_path / "aime24.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = {"name": "x", "models": [{"source": "builtin"}], "alphas": [0.0], "data": {"suites": ["aime24.jsonl"]}}
    (suite,) = pin(Experiment.model_validate(asked), tmp_path).data.suites
    problems = problems_of(suite.source, "test", 300, 0)
    assert [(problem.question, problem.answer) for problem in problems] == [
        (f"What is {number}?", f"{number}") for number in range(30)
    ]


# --------------------------------------------------------------------------------------------------- own protocols

OVERRIDES = st.fixed_dictionaries(
    {},
    optional={
        "samples": st.integers(4, 16),
        "temperature": st.floats(0.1, 2),
        "top_p": st.floats(0.1, 1),
        "max_tokens": st.integers(1, 9000),
        "pass_at": st.sampled_from([(1,), (2, 4)]),
        "prompt": st.sampled_from([Prompt(template="Q: {question}"), Prompt(system="Be kind.")]),
    },
)


@given(OVERRIDES)
def test_a_suite_is_asked_as_it_says_and_in_all_else_as_the_others(overrides):
    asked = experiment("gsm8k", {"name": "hard", "source": {"kind": "math500"}, **overrides})
    spec = asked.evaluate_spec(MODEL, None, asked.prepare_spec().address)
    own = spec.asking("hard")
    assert own.prompt == overrides.get("prompt", asked.data.prompt)
    for name in ("samples", "temperature", "top_p", "max_tokens", "pass_at", "budgets", "seed"):
        assert getattr(own.protocol, name) == overrides.get(name, getattr(USUAL, name))
    for part in ("gsm8k", "validation"):
        assert (spec.asking(part).prompt, spec.asking(part).protocol) == (asked.data.prompt, USUAL)


@given(OVERRIDES)
def test_a_change_of_protocol_changes_the_evaluation_and_neither_problems_nor_training(overrides):
    plain = addresses(experiment("gsm8k"))
    changed = addresses(experiment({"name": "gsm8k", "source": {"kind": "gsm8k"}, **overrides}))
    assert (changed["prepare"], changed["train"]) == (plain["prepare"], plain["train"])
    differs = any(value != getattr(USUAL, name, Prompt()) for name, value in overrides.items())
    assert (changed["evaluate"] != plain["evaluate"]) == differs


def test_fewer_samples_drop_the_pass_at_that_they_do_not_allow():
    suite = Suite(name="s", source=Gsm8kSource(), samples=2)
    assert suite.protocol(USUAL).pass_at == (1,)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"temperature": 0.0}, "suite hard: 4 samples at temperature 0"),
        ({"samples": 2, "pass_at": (1, 4)}, "suite hard: pass@4 needs at least 4 samples"),
    ],
)
def test_what_is_no_protocol_is_refused_with_the_name_of_the_suite(overrides, said):
    with pytest.raises(ValidationError, match=said):
        experiment({"name": "hard", "source": {"kind": "math500"}, **overrides})


# ------------------------------------------------------------------------------------------- in distribution or not


@pytest.mark.parametrize(
    ("source", "suites", "outside"),
    [
        ({"kind": "gsm8k"}, ["gsm8k", "math500"], ("math500",)),
        ({"kind": "gsm8k"}, [{"name": "g", "source": {"kind": "gsm8k"}, "role": "out-of-distribution"}], ("g",)),
        ({"kind": "gsm8k"}, [{"name": "m", "source": {"kind": "math500"}, "role": "in-distribution"}], ()),
        (
            {"kind": "reasoning-gym", "task": "chain_sum"},
            ["reasoning-gym:chain_sum", "reasoning-gym:leg_counting"],
            ("leg_counting",),
        ),
        ({"kind": "chain-sum"}, [], ()),
    ],
)
def test_the_report_knows_which_suites_are_of_another_kind_than_the_training(source, suites, outside):
    asked = experiment(*suites, source=source)
    assert asked.report_spec((CELL,), asked.prepare_spec().address).out_of_distribution == outside


KEY = next(experiment("gsm8k").cells())
CELL = experiment("gsm8k").cell(KEY, "train/" + 24 * "0", "evaluate/" + 24 * "0", "evaluate/" + 24 * "1")
