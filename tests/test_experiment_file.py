"""Experiments read from TOML: those that are shipped, and every way to get one wrong."""

from pathlib import Path

import pytest

from effreason.errors import UserError
from effreason.experiment_file import load, locate, prepared, shipped

ROOT = Path(__file__).parent.parent
EVERY_TOML = sorted(
    path for folder in ("effreason", "tests", "infra", "docs") for path in (ROOT / folder).rglob("*.toml")
)

SOUND = 'name = "x"\nalphas = [0.0, 0.2]\n\n[[models]]\nsource = "builtin"\n'


@pytest.mark.parametrize("path", EVERY_TOML, ids=lambda path: path.stem)
def test_every_experiment_in_the_repository_loads(path):
    assert load(str(path)).name == path.stem


def test_a_shipped_experiment_is_found_by_its_name():
    assert "tiny" in shipped()
    assert load("tiny").name == "tiny"


def test_a_path_that_is_not_there_is_answered_with_the_names_that_are():
    with pytest.raises(UserError, match="tiny"):
        locate("no-such-thing")


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        (SOUND + "\n[training]\nstepz = 3\n", 8, "did you mean `steps`"),
        (SOUND.replace("0.2", "1.2"), 2, "outside"),
        (SOUND + "\n[training]\nsteps = 0\n", 8, "greater than or equal to 1"),
        (SOUND + "\n[training]\nprompts_per_step = 5\nupdates_per_step = 2\n", 7, "multiple of updates_per_step"),
        (SOUND + '\n[[models]]\nsource = "hub"\nname = "m"\n', 7, "needs the key `id`"),
        (SOUND + '\n[[models]]\nsource = "cloud"\n', 7, "choose 'builtin', 'hub', 'folder'"),
        (SOUND + '\n[data]\nsource = { kind = "csv" }\n', 8, "chain-sum"),
        (SOUND + '\n[training]\npenalty = { kind = "length-target" }\n', 8, "needs the key `target`"),
        (SOUND.replace("0.2", "2.0") + '\n[training]\npenalty = { kind = "min-max" }\n', 2, "outside [0, 2)"),
        (SOUND + '\n[data]\n[[data.suites]]\nname = "a b"\nsource = { kind = "gsm8k" }\n', 9, "pattern"),
        (SOUND + "\n[evaluation]\nsamples = 2\npass_at = [1, 4]\n", 7, "pass@4 needs at least 4 samples"),
        (SOUND + '\n[training]\nalgorithm = { kind = "ppo", advantage = {} }\n', 8, "it is a key of policy-gradient"),
        (SOUND + "\n[training]\nsamples = 3\n", 8, "it belongs to another table"),
        (SOUND + '\n[store]\npath = "x"\n', 7, "choose 'folder', 's3'"),
        (SOUND + '\n[[models]]\nname = "y"\n', 7, "choose 'builtin', 'folder', 'hub'"),
        ("alphas = [0.1]\n" + '[[models]]\nsource = "builtin"\n', 1, "needs the key `name`"),
    ],
)
def test_a_mistake_is_pointed_at_with_its_line_and_reason(tmp_path, text, line, reason):
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(UserError) as refused:
        load(str(path))
    assert f"{path}:{line}: " in str(refused.value)
    assert reason in str(refused.value)


def test_every_mistake_is_told_at_once(tmp_path):
    path = tmp_path / "wrong.toml"
    path.write_text(SOUND + "\n[training]\nstepz = 3\nlearning_rate = -1\n")
    with pytest.raises(UserError, match="2 mistakes"):
        load(str(path))


def test_what_is_not_toml_is_refused_with_the_place(tmp_path):
    path = tmp_path / "wrong.toml"
    path.write_text("name = \n")
    with pytest.raises(UserError, match="line 1"):
        load(str(path))


def test_a_mistake_of_the_whole_file_claims_no_line(tmp_path):
    path = tmp_path / "wrong.toml"
    path.write_text(SOUND + '\n[data]\nsuites = ["gsm8k"]\n\n[gate]\nsuites = ["math500"]\n')
    with pytest.raises(UserError) as refused:
        load(str(path))
    assert f"  {path}: " in str(refused.value) and f"{path}:1" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [("a = " + "[" * 5000 + "]" * 5000, "nested too deeply"), (f"a = {'9' * 5000}", "is not TOML")],
    ids=["nested", "digits"],
)
def test_what_python_cannot_hold_is_refused_in_one_sentence(tmp_path, text, said):
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=said):
        load(str(path))


def test_an_experiment_may_begin_with_a_byte_order_mark(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text(SOUND, encoding="utf-8-sig")
    assert load(str(path)).name == "x"


@pytest.mark.parametrize("reference", ["x" * 300, "a\0b", ""], ids=["long", "nul", "empty"])
def test_what_can_be_no_path_is_answered_with_the_names_that_are_shipped(reference):
    with pytest.raises(UserError, match="tiny"):
        locate(reference)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (SOUND + '\n[[models]]\nsource = "folder"\nname = "m"\npath = "nowhere/model"\n', 10),
        (SOUND + '\n[data]\nsuites = ["chain-sum", "nowhere.jsonl"]\n', 8),
        (SOUND + "\n[data]\nsource = { kind = 'file', path = 'nowhere.parquet' }\n", 8),
    ],
    ids=["model", "suite", "source"],
)
def test_a_file_that_is_not_there_is_pointed_at_in_the_experiment(tmp_path, text, line):
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(UserError, match="nowhere") as refused:
        prepared(str(path))
    assert str(refused.value).startswith(f"{path}:{line}: There is no ")
