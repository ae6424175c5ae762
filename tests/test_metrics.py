"""Metrics: counts that outlive their run, one address for all runs, and a dashboard whose every query finds data."""

import json
import math
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import pytest
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_server import programs, prometheus
from s3_server import free_ports
from test_flow import place as place  # a fixture

from effreason.artifacts import Manifest, Policy
from effreason.choices import BuiltInModel, Prompt
from effreason.errors import StepFailure, UserError
from effreason.progress import Progress
from effreason.provenance import provenance
from effreason.specs import Training, TrainSpec
from effreason.workbench import Runtime, Turn
from tasks.display.logs import JsonLines
from tasks.metrics.meter import Meter, metered
from tasks.metrics.serving import Machine, main, serving
from tasks.running.process import Stopped
from tasks.settings import METRICS_HOST, METRICS_PORT, metrics_port

ROOT = Path(__file__).parent.parent
DASHBOARD = ROOT / "infra" / "grafana" / "effreason.json"
CONFIGURATION = ROOT / "infra" / "prometheus" / "prometheus.yml"
LABEL = "train reasoner alpha=0.2 s0"


@pytest.fixture(autouse=True)
def leases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EFFREASON_LEASES", str(tmp_path / "leases"))
    (tmp_path / "leases").mkdir()


def sealed(tokens: int, gpus: float = 0.5) -> Manifest:
    spec = TrainSpec(
        model=BuiltInModel(), problems="prepare/" + "0" * 24, prompt=Prompt(), training=Training(), alpha=0.2, seed=0
    )
    artifact = Policy(
        address=spec.address, model="reasoner", alpha=0.2, seed=0, steps=1, generated_tokens=tokens, seconds=1.0
    )
    origin = provenance(datetime.now(UTC), 8.0, Runtime(threads=2, turn=Turn(gpus=gpus)))
    return Manifest(address=spec.address, attempt="a", spec=spec, artifact=artifact, files=(), provenance=origin)


def exposed() -> dict[str, float]:
    """Every sample, by name and labels, as Prometheus reads it."""
    registry = CollectorRegistry()
    registry.register(Machine())
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {
        " ".join([sample.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items()))]): sample.value
        for family in families
        for sample in family.samples
    }


# ---------------------------------------------------------------------------------------------------- what is counted


def test_a_step_is_counted_while_it_runs_and_when_it_is_over():
    meter = Meter()
    meter.began(LABEL)
    meter.progressed(LABEL, Progress(phase="train", done=1, total=2, generated_tokens=600))
    time.sleep(1.0)
    meter.progressed(LABEL, Progress(phase="train", done=2, total=2, generated_tokens=400))
    now = exposed()
    assert now["effreason_steps_running step=train"] == 1 and now["effreason_runs"] == 1
    assert now["effreason_generated_tokens_total step=train"] == 1000
    meter.ended(LABEL, sealed(tokens=1000))
    now = exposed()
    assert now["effreason_steps_running step=train"] == 0
    assert now["effreason_steps_total outcome=made step=train"] == 1
    assert now["effreason_generated_tokens_total step=train"] == 1000, "tokens told as they came do not count again"
    assert now["effreason_gpu_seconds_total step=train"] == 4
    assert now["effreason_core_seconds_total step=train"] == 0
    assert now["effreason_step_duration_seconds_count step=train"] == 1
    assert now["effreason_step_duration_seconds_bucket le=1.0 step=train"] == 0
    assert now["effreason_step_duration_seconds_bucket le=5.0 step=train"] == 1


def test_a_step_that_tells_no_tokens_counts_them_at_its_end_and_a_found_one_none():
    meter = Meter()
    meter.began(LABEL)
    meter.ended(LABEL, sealed(tokens=70, gpus=0))
    meter.found(LABEL, sealed(tokens=70))
    now = exposed()
    assert now["effreason_generated_tokens_total step=train"] == 70
    assert now["effreason_steps_total outcome=found step=train"] == 1
    assert now["effreason_core_seconds_total step=train"] == 16


def test_failures_and_stops_are_told_apart_and_end_what_ran():
    meter = Meter()
    for error in (StepFailure("Cold.", "Heat."), Stopped()):
        meter.began(LABEL)
        meter.failed(LABEL, error)
    meter.failed(LABEL, Stopped())  # before its turn
    now = exposed()
    assert now["effreason_steps_total outcome=failed step=train"] == 1
    assert now["effreason_steps_total outcome=stopped step=train"] == 2
    assert now["effreason_steps_running step=train"] == 0


def test_counts_outlive_a_killed_run_and_what_ran_there_runs_no_more():
    script = (
        "from tasks.metrics.meter import Meter; meter = Meter(); meter.began('train a'); meter.began('train b');"
        "from tasks.running.process import Stopped; meter.failed('train b', Stopped()); print('there', flush=True);"
        "__import__('time').sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None and run.stdout.readline() == "there\n"
        now = exposed()
        assert now["effreason_runs"] == 1 and now["effreason_steps_running step=train"] == 1
        run.kill()
    now = exposed()
    assert now["effreason_runs"] == 0 and now["effreason_steps_running step=train"] == 0
    assert now["effreason_steps_total outcome=stopped step=train"] == 1


RUN = """
from tasks.metrics.tally import Book
book = Book("run")
book.tally.tokens["train"] += 10
book.tally.running["train"] += 1
book.write()
print("there", flush=True)
input()
"""


def run() -> "subprocess.Popen[str]":
    """One that has generated 10 tokens and has a training under way, until it is killed."""
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-c", RUN], cwd=ROOT, text=True, **streams)
    assert process.stdout is not None and process.stdout.readline() == "there\n"
    return process


def killed(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.communicate()


def test_there_are_no_more_tallies_than_runs_were_side_by_side_and_what_they_counted_stays(tmp_path):
    one, other = run(), run()
    seen = [exposed()["effreason_generated_tokens_total step=train"]]
    killed(one)
    for _ in range(3):
        killed(run())
        seen.append(exposed()["effreason_generated_tokens_total step=train"])
    now = exposed()
    assert seen == [20, 30, 40, 50]
    assert now["effreason_runs"] == 1 and now["effreason_steps_running step=train"] == 1
    assert len(list((tmp_path / "leases" / "metrics").iterdir())) == 4, "a lock and a tally of each of the two"
    killed(other)


def left_alone(tally: Path) -> bool:
    text = tally.read_text()
    killed(run())
    return tally.read_text() == text and len(list(tally.parent.glob("*.json"))) == 2


def test_a_tally_of_another_version_is_left_alone(tmp_path):
    killed(run())
    (tally,) = (tmp_path / "leases" / "metrics").glob("*.json")
    tally.write_text('{"tokens": "many"}')
    assert left_alone(tally)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_a_tally_of_another_user_is_left_alone(tmp_path):
    killed(run())
    (tally,) = (tmp_path / "leases" / "metrics").glob("*.json")
    os.chown(tally.with_suffix(".lock"), 65534, 65534)
    assert left_alone(tally)


def test_a_run_whose_counts_cannot_be_written_goes_on_and_warns_once(tmp_path, caplog):
    meter = Meter()
    place = tmp_path / "leases" / "metrics"
    (lock,) = place.glob("*.lock")
    lock.with_suffix(".partial").mkdir()
    meter.began(LABEL)
    meter.ended(LABEL, sealed(tokens=10))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    lock.with_suffix(".partial").rmdir()
    meter.close()
    assert exposed()["effreason_generated_tokens_total step=train"] == 10, "when it can be written again, all is there"
    shutil.rmtree(place)
    place.touch()
    Meter().began(LABEL)
    assert len(caplog.records) == 2


def test_made_up_gpus_have_their_readings(monkeypatch):
    gpu = {"uuid": "GPU-a", "memory": 100, "memory_used": 25, "utilisation": 40}
    monkeypatch.setenv("EFFREASON_FAKE_GPUS", json.dumps([gpu]))
    now = exposed()
    assert now["effreason_gpu_busy_ratio device=GPU-a"] == 0.4
    assert now["effreason_gpu_memory_used_bytes device=GPU-a"] == 25
    assert now["effreason_device_leased_ratio device=GPU-a"] == 0


# -------------------------------------------------------------------------------------------------- where it is served


def scraped(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text: str = answer.read().decode()
        return text


def wait_until_served(port: int) -> str:
    deadline = time.monotonic() + 10
    while True:
        try:
            return scraped(port)
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_of_several_runs_one_serves_for_all_and_another_takes_its_place():
    (port,) = free_ports(1)
    with serving(port):
        with serving(port):
            Meter().found("prepare", sealed(0))
            Meter().found("prepare", sealed(0))
            assert 'effreason_steps_total{outcome="found",step="prepare"} 2.0' in wait_until_served(port)
        assert "effreason_runs" in wait_until_served(port)
    with pytest.raises(OSError):
        scraped(port)


def test_an_address_at_which_nobody_can_listen_is_told_at_once(monkeypatch, capsys):
    (port,) = free_ports(1)
    monkeypatch.setenv(METRICS_PORT, str(port))
    monkeypatch.setenv(METRICS_HOST, "192.0.2.1")  # of no machine: RFC 5737
    with pytest.raises(UserError, match=f"cannot be served at 192.0.2.1:{port} "), metered():
        pass
    assert main([]) == 2
    told = capsys.readouterr()
    assert "cannot be served" in told.err and "Metrics: http" not in told.out


def test_whoever_stands_by_says_so_until_it_serves(monkeypatch):
    monkeypatch.setattr("tasks.metrics.serving.SECONDS_BETWEEN_TRIES", 0.1)
    told: list[str] = []
    with socket.socket() as foreign:
        foreign.bind(("127.0.0.1", 0))
        foreign.listen()
        port = foreign.getsockname()[1]
        with serving(port, told.append):
            time.sleep(0.3)
            assert [sentence.partition(";")[0] for sentence in told] == [f"Metrics: port {port} is in use"]
            foreign.close()
            assert "effreason_runs" in wait_until_served(port)
        assert told[1:] == [f"Metrics: http://127.0.0.1:{port}/metrics"]


def test_nothing_is_counted_where_it_is_off_and_a_mistake_is_told(monkeypatch, tmp_path):
    with metered() as listeners:
        assert listeners == ()
    assert not (tmp_path / "leases" / "metrics").exists()
    monkeypatch.setenv(METRICS_PORT, "http")
    with pytest.raises(UserError, match="is not a valid port"):
        metrics_port()


# ------------------------------------------------------------------------------------------------------------- logs


def test_every_line_of_the_log_is_one_object_with_its_step(capsys):
    lines = JsonLines("small")
    lines.began(LABEL)
    lines.progressed(LABEL, Progress(phase="train", done=1, total=2, figures={"reward": 0.5}))
    lines.progressed(LABEL, Progress(phase="train", done=2, total=2))
    lines.said(LABEL, 'a "quoted"\tline')
    lines.alarmed(LABEL, "Look.")
    lines.ended(LABEL, sealed(tokens=9))
    lines.failed("evaluate x", StepFailure("Cold.", "Heat."))
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["event"] for each in told] == [
        "step began", "step progress", "step log", "step alarm", "step made", "step failed",
    ]  # fmt: skip
    assert all(each["experiment"] == "small" and datetime.fromisoformat(each["time"]) for each in told)
    assert {each["step"] for each in told} == {"train", "evaluate"}
    assert told[4]["generated_tokens"] == 9 and told[4]["gpu_seconds"] == 4
    assert [each["level"] for each in told] == ["info", "info", "info", "warning", "info", "error"]


def test_a_line_of_a_step_has_its_level_in_the_log(capsys):
    lines = JsonLines("small")
    for line in ("a line", "x.py:1: UserWarning: no pad token", "torch.OutOfMemoryError: CUDA out of memory"):
        lines.said(LABEL, line)
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["level"] for each in told] == ["info", "warning", "error"]


# -------------------------------------------------------------------------------------------------------- the dashboard


def targets() -> list[tuple[str, str]]:
    """Every query of the dashboard with the title of its panel; the variables as Grafana would fill them in."""
    dashboard = json.loads(DASHBOARD.read_text())
    variables = {"$instance": ".*", "$__rate_interval": "20s", "$__range": "5m"}
    found = []
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            expression = target["expr"]
            for name, value in variables.items():
                expression = expression.replace(name, value)
            assert "$" not in expression
            found.append((panel["title"], expression))
    return found


def without_defaults(given: object, read: object) -> object:
    """What was `read`, less what `given` leaves out."""
    if isinstance(given, dict) and isinstance(read, dict):
        return {name: without_defaults(value, read[name]) for name, value in given.items() if name in read}
    if isinstance(given, list) and isinstance(read, list):
        return [without_defaults(*pair) for pair in zip(given, read, strict=True)]
    return read


def test_grafanas_own_models_read_the_dashboard_and_lose_nothing_of_it():
    plugins.register_default_plugins()
    given = json.loads(DASHBOARD.read_text())
    read = json.loads(JSONEncoder().encode(Dashboard.from_json(given)))
    assert without_defaults(given, read) == given
    assert len({panel["id"] for panel in given["panels"]}) == len(given["panels"])


def test_the_panels_do_not_overlap():
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken and all(x < 24 for x, _ in cells)
        taken |= cells


def test_the_dashboard_asks_for_all_that_is_exposed_and_for_nothing_else():
    asked = set(re.findall(r"effreason_\w+", " ".join(expression for _, expression in targets())))
    families = {key.split()[0] for key in exposed()} | {"effreason_gpu_busy_ratio", "effreason_gpu_memory_used_bytes"}
    families |= {"effreason_gpu_memory_bytes", "effreason_device_leased_ratio"}
    parts = {"effreason_step_duration_seconds_count", "effreason_step_duration_seconds_sum"}
    assert asked == {name for name in families if not name.endswith("_created")} - parts


@pytest.mark.slow
def test_every_query_of_the_dashboard_finds_data_of_a_run(place, tmp_path, tmp_path_factory):
    binaries = programs(tmp_path_factory.mktemp("prometheus"))
    subprocess.run([binaries / "promtool", "check", "config", CONFIGURATION], check=True)
    (port,) = free_ports(1)
    gpu = {"uuid": "GPU-a", "memory": 100, "memory_used": 25, "utilisation": 40}
    place.environment |= {
        METRICS_PORT: str(port),
        "EFFREASON_FAKE_GPUS": json.dumps([gpu]),
        "EFFREASON_LOG_FORMAT": "json",
        "EFFREASON_LEASES": os.environ["EFFREASON_LEASES"],
    }
    text = (place.folder / "small.toml").read_text().replace('device = "cpu"', "")
    (place.folder / "small.toml").write_text(text)
    configuration = tmp_path / "prometheus.yml"
    settings = CONFIGURATION.read_text().replace("9464", str(port)).replace("15s", "1s")
    configuration.write_text(settings)
    exporter = [sys.executable, "-m", "tasks.metrics.serving", "--beside-worker", str(os.getpid())]
    with (
        subprocess.Popen(exporter, cwd=ROOT, env=place.environment, stdout=subprocess.DEVNULL) as standing,
        prometheus(binaries, configuration, tmp_path) as server,
    ):
        wait_until_served(port)
        time.sleep(3)
        code, output, errors = place.run()
        time.sleep(2)
        found = {(title, expression): server.query(expression) for title, expression in targets()}
        standing.terminate()
    assert (code, errors) == (0, "")
    empty = [each for each, series in found.items() if not series]
    assert not empty
    values = {title: [float(one["value"][1]) for one in series] for (title, _), series in found.items()}
    assert values["Workers"] == [1] and values["Steps failed"] == [0]
    assert values["GPUs busy"] == [0.4] and values["GPU memory"] == [0.25]
    assert any(value > 0 for value in values["Generated tokens per second"])
    assert any(math.isfinite(value) and value > 0 for value in values["Duration of steps, median and 95%"])
    lines = [json.loads(line) for line in output.splitlines()]
    assert [line["event"] for line in lines].count("step made") == 7 and lines[-1]["event"] == "report"
