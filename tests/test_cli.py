"""The command line as a user meets it, in processes of its own."""

import json
import statistics
import subprocess
import sys
import time
import tomllib

import jsonschema
import pytest

from effreason.experiment_file import SHIPPED

EFFREASON = [sys.executable, "-m", "effreason"]


def run(*arguments, **options):
    return subprocess.run([*EFFREASON, *arguments], capture_output=True, text=True, timeout=60, **options)


def test_help_answers_within_three_tenths_of_a_second():
    def seconds():
        started = time.perf_counter()
        assert run("--help").returncode == 0
        return time.perf_counter() - started

    assert statistics.median(seconds() for _ in range(5)) <= 0.3


def test_importing_the_package_imports_no_framework():
    code = "import effreason, effreason.cli, effreason.experiment, effreason.artifacts, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "transformers", "trl", "prefect", "boto3", "docker", "datasets"} & set(loaded)


def test_the_schema_accepts_the_shipped_experiments_and_refuses_a_wrong_key():
    schema = json.loads(run("schema").stdout)
    for path in SHIPPED.glob("*.toml"):
        jsonschema.validate(tomllib.loads(path.read_text()), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"name": "x", "alphas": [0.1], "models": [{"source": "builtin"}], "stepz": 1}, schema)


def test_the_plan_shows_every_step_to_do(tmp_path):
    done = run("plan", "tiny", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("to do") == 12  # prepare, baseline, four trainings with their evaluations, report; the sum
    assert not list(tmp_path.iterdir()), "planning writes nothing"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["plan", "nowhere.toml"], 2, "shipped names"),
        (["step", "train", "nowhere.json"], 2, "cannot be read"),
        (["artifacts", "show", "train/abc"], 2, ""),
    ],
)
def test_a_mistake_gets_one_sentence_and_no_traceback(tmp_path, arguments, code, said):
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == code
    assert done.stderr.startswith("effreason: ") and said in done.stderr
    assert "Traceback" not in done.stderr


def test_debug_shows_the_traceback(tmp_path):
    assert "Traceback" in run("--debug", "plan", "nowhere.toml", cwd=tmp_path).stderr
