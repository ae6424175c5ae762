"""The command line as a user meets it, in processes of its own."""

import json
import os
import statistics
import subprocess
import sys
import time
import tomllib

import jsonschema
import pytest

from effreason.experiment_file import SHIPPED
from effreason.report.schema import SCHEMA_VERSION

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


def test_the_schema_of_the_report_is_printed_on_demand():
    printed = json.loads(run("schema", "report").stdout)
    assert printed["title"] == "Document" and printed["properties"]["schema"]["const"] == SCHEMA_VERSION
    assert run("schema", "nonsense").returncode == 2


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


@pytest.mark.parametrize(("arguments", "code"), [(["schema"], 141), (["--version"], 0), (["--help"], 0)])
def test_a_reader_who_leaves_ends_the_command_without_a_word(arguments, code):
    with subprocess.Popen([*EFFREASON, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b"" and process.wait(60) in (code, 141)


def test_a_full_disk_behind_standard_output_is_told_in_one_sentence():
    with open("/dev/full", "w") as full:
        done = subprocess.run([*EFFREASON, "schema"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("effreason: Cannot write to standard output") and done.stderr.count("\n") == 1


def test_a_terminal_without_a_sign_gets_another_in_its_place():
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    code = "from effreason import cli; cli._run = lambda _: print('6 × 2') or 0; raise SystemExit(cli.main([]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60)
    assert (done.returncode, done.stdout) == (0, "6 ? 2\n"), done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["plan", "x" * 300], "There is no experiment"),
        (["plan", "tiny", "--memory-gib", "abc"], "'abc' is not a number of GiB"),
        (["artifacts", "list", "--store", ""], "name of the store is empty"),
        (["artifacts", "list", "--store", "x" * 300], "There is no store"),
        (["artifacts", "clean", "--older-than", "600000w"], "more than 36500 days"),
        (["artifacts", "clean", "--older-than", f"{9**99}w"], "more than 36500 days"),
        (["browse", "--port", "99999999"], "is not a port number"),
        (["browse", "--port=-1"], "is not a port number"),
        (["browse", "--bind", ""], "address is empty"),
        (["browse", "--bind", "é" * 70, "--store", "."], "is not a valid address"),
        (["judge", "x", "--judge", "http://[", "--model", "m"], "is not a valid URL"),
        (["judge", "x", "--judge", "http://h", "--model", "m", "--sample", "x"], "'x' is not a whole number"),
        (["export", "tiny:alpha=0.4,alpha=0", "x", "--store", "."], "the same key twice"),
    ],
)
def test_nonsense_is_refused_in_a_sentence_and_with_exit_code_2(tmp_path, arguments, said):
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("step", ["train", "prepare"])
def test_an_order_that_is_no_text_is_a_fault_of_the_user_and_the_caller_is_told(tmp_path, step):
    (tmp_path / "order.json").write_bytes(b"\xff\xfe")
    done = run("step", step, "order.json", cwd=tmp_path)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert json.loads(done.stdout)["fault"]["kind"] == "user"


def test_a_step_that_should_read_a_closed_standard_input_says_so():
    line = " ".join([*EFFREASON, "step", "train", "-", "<&-"])
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "Standard input is closed" in done.stderr and "Traceback" not in done.stderr
