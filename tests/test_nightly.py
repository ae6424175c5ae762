"""Nights on a real Prefect server, in a real store: with made-up answers, and slowly with the built-in model."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from prefect_fixtures import ask

from effreason.choices import FolderHome
from effreason.errors import UserError
from effreason.experiment import Experiment
from effreason.experiment_file import load
from effreason.promotion.champion import Champion
from effreason.promotion.night import at_night
from effreason.store import open_store
from tasks.local.server import Server

ROOT = Path(__file__).parent.parent
EXPERIMENT = """
name = "small"
alphas = [0.3]

[[models]]
source = "builtin"

[runtime]
device = "cpu"
retries = 0
price = { core_hour = 3600, currency = "CHF" }
"""
BASE, GOOD, BAD = [0.95, 90], [0.99, 60], [0.70, 40]


class Place:
    """A folder with an experiment and its store, and the nights there."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.environment = folder, environment
        (folder / "small.toml").write_text(EXPERIMENT)
        self.champion = Champion(open_store(FolderHome(path=str(folder / "runs/store"))), "small")

    def night(self, date: str, known: dict[str, list[float]] | None = None, **environment: str) -> tuple[int, str]:
        """The exit code and what was printed, of a night with these models, or with real steps where none are given."""
        words = [str(ROOT / "tests" / "fake_night.py")] if known is not None else ["-m", "flows.nightly"]
        done = subprocess.run(
            [sys.executable, *words, "small.toml", "--night", date],
            cwd=self.folder,
            env={**self.environment, "FAKE_NIGHT": json.dumps({"base": BASE, **(known or {})}), **environment},
            capture_output=True,
            text=True,
            timeout=1200,
        )
        return done.returncode, done.stdout + done.stderr

    def typed(self, *words: str) -> str:
        command = [sys.executable, "-m", "effreason", *words]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=True
        )
        return done.stdout

    def page(self, date: str) -> str:
        return (self.folder / "runs/small/nights" / date / "night.md").read_text()


@pytest.fixture
def place(tmp_path: Path, prefect_environment: dict[str, str]) -> Place:
    return Place(tmp_path, prefect_environment)


def test_one_night_promotes_the_next_is_refused_for_accuracy_and_a_rollback_restores(place, prefect_server):
    code, told = place.night("2026-01-30", {"20260130": GOOD})
    assert code == 0 and "The candidate passes (at 95%, one-sided): on chain-sum (200 problems)" in told
    assert "(5 of 5 steps)" in told
    (first,) = place.champion.history()
    assert first.decision.night == "2026-01-30" and first.by == "flow run small 2026-01-30"
    assert set(first.evaluations) == {"candidate", "champion", "base"}

    dashboard = shown(prefect_server, "small-dashboard")
    assert "5 of 5 steps" in dashboard and costs(dashboard)["train reasoner alpha=0.3 s20260130"].endswith(" CHF")
    assert re.fullmatch(r"(?!0\.00)[0-9.]+ CHF", costs(dashboard)["**this run alone**"])

    code, told = place.night("2026-01-31", {"20260130": GOOD, "20260131": BAD})
    assert code == 0 and "loses more than 2.0 points of accuracy against the champion" in told
    assert "(6 of 6 steps)" in told, "the champion is measured too"
    assert place.champion.history() == [first], "what was refused does not touch the champion"
    assert "# small, night of 2026-01-31: refused" in place.page("2026-01-31")
    assert "Too few nights to say what is usual: 1 earlier ones, and 5 are needed" in place.page("2026-01-31")
    assert shown(prefect_server, "small-night") == place.page("2026-01-31")

    code, told = place.night("2026-01-30", {})
    assert code == 0 and "The candidate passes" in told and told.count("found in the store") == 5
    assert place.champion.history() == [first], "a night that is run again changes nothing"

    assert "is the base model" in place.typed("rollback", "small")
    assert [entry.policy for entry in place.champion.history()] == [first.policy, None]
    assert f"is {first.policy}" in place.typed("rollback", "small", "--to", "1")


def shown(server: Server, key: str) -> str:
    """What the latest artifact of this key says in the UI."""
    of_ours = {"artifacts": {"key": {"any_": [key]}}, "sort": "CREATED_DESC", "limit": 1}
    (artifact,) = ask(server, "/artifacts/filter", of_ours)
    text: str = artifact["data"]
    return text


def costs(dashboard: str) -> dict[str, str]:
    """By its label, the money of each line of the cost table."""
    table = dashboard.partition("## Cost")[2]
    lines = (line.strip("|").split("|") for line in table.splitlines() if line.startswith("|"))
    return {line[0].strip(): line[-1].strip() for line in lines}


# --------------------------------------------------------------------------------------------------- it fails


class Mailbox(HTTPServer):
    """Takes what Apprise sends to json://, on loopback."""

    def __init__(self) -> None:
        self.letters: list[dict[str, Any]] = []
        letters = self.letters

        class Slot(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                letters.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Slot)


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with Mailbox() as box:
        thread = threading.Thread(target=box.serve_forever, daemon=True)
        thread.start()
        yield box
        box.shutdown()


SAVE = """
import sys
from prefect.blocks.notifications import SlackWebhook
SlackWebhook(url=sys.argv[1]).save("night-watch", overwrite=True)
"""


def test_a_night_that_fails_leaves_the_champion_and_tells_whoever_is_to_know(place, mailbox, prefect_server):
    address = f"json://127.0.0.1:{mailbox.server_port}"
    subprocess.run([sys.executable, "-c", SAVE, address], env=place.environment, check=True, capture_output=True)
    code, told = place.night("2026-01-30", {}, EFFREASON_NOTIFY="slack-webhook/night-watch")
    assert code == 1 and "nightly: The oven is cold. Light it." in told
    assert place.champion.history() == []
    spent = costs(shown(prefect_server, "small-dashboard"))
    assert spent["prepare"].endswith(" CHF") and "train reasoner alpha=0.3 s20260130" not in spent
    (letter,) = mailbox.letters
    assert letter["title"] == "nightly small 2026-01-30: Failed"
    assert "The oven is cold. Light it." in letter["message"] and "The champion is unchanged" in letter["message"]


def test_a_night_whose_budget_is_used_up_before_its_training_says_so_and_leaves_the_champion(place, prefect_server):
    (place.folder / "small.toml").write_text(EXPERIMENT + "budget = { core_hours = 1e-6 }\n")
    code, told = place.night("2026-01-30", {"20260130": GOOD})
    assert code == 3 and re.search(
        r"nightly: The budget of 1e-06 core-hours \(\S+ spent\) is used up\. "
        r"The only training run was not started, so there is nothing to report\. "
        r"Raise runtime\.budget and run it again\.",
        told,
    )
    assert place.champion.history() == []
    of_ours = {"flow_runs": {"name": {"any_": ["small 2026-01-30"]}}, "sort": "START_TIME_DESC", "limit": 1}
    (run,) = ask(prefect_server, "/flow_runs/filter", of_ours)
    assert run["state_name"] == "Failed"
    dashboard = shown(prefect_server, "small-dashboard")
    assert "**The budget of 1e-06 core-hours" in dashboard and "1 stopped" in dashboard
    assert {"prepare", "evaluate reasoner"} < set(costs(dashboard)) and "train" not in " ".join(costs(dashboard))


@pytest.mark.parametrize(
    ("alphas", "night", "why"),
    [
        ("[0.1, 0.3]", "2026-01-30", "A night trains one candidate, but small has 2 cells."),
        ("[0.3]", "9999-12-31", "The night 9999-12-31 is in the future."),
    ],
)
def test_what_cannot_be_a_night_is_refused_before_any_server_is_started(tmp_path, alphas, night, why):
    (tmp_path / "small.toml").write_text(EXPERIMENT.replace("[0.3]", alphas))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("PREFECT_API_URL", None)
    code, told = Place.night(type("Bare", (), {"folder": tmp_path, "environment": environment}), night)  # type: ignore[arg-type]
    assert code == 2 and why in told


# ------------------------------------------------------------------------------------------------ what a night is


def test_every_night_draws_other_data_and_another_training_and_the_same_night_the_same():
    experiment = load("nightly")
    one, again, other = (at_night(experiment, night) for night in ("2026-01-30", "2026-01-30", "2026-01-31"))
    assert one == again and one.prepare_spec().address != other.prepare_spec().address
    problems = one.prepare_spec().address
    trainings = [each.train_spec(next(each.cells()), problems) for each in (one, other)]
    assert trainings[0].seed != trainings[1].seed
    assert one.evaluate_spec(one.models[0], None, problems) == other.evaluate_spec(one.models[0], None, problems)


def test_a_night_is_a_date_and_the_gate_looks_only_at_what_is_measured():
    experiment = load("nightly").model_dump()
    for field, value in {"night": "2026-02-30", "gate": {"suites": ["gsm8k"]}}.items():
        with pytest.raises(ValueError, match=r"out of range|gate\.suites names gsm8k"):
            Experiment.model_validate({**experiment, field: value})


def test_several_cells_are_no_night():
    with pytest.raises(UserError, match="4 cells"):
        at_night(load("tiny"), "2026-01-30")


# ------------------------------------------------------------------------------------------- with the built-in model

REAL = """
name = "small"
alphas = [0.4]

[[models]]
source = "builtin"

[data]
train_problems = 400
validation_problems = 0

[[data.suites]]
name = "chain-sum"
source = { kind = "chain-sum" }
problems = 150

[training]
steps = 12
prompts_per_step = 16
completions_per_prompt = 8
learning_rate = 3e-4
max_tokens = 192

[evaluation]
samples = 2
temperature = 1.0
max_tokens = 192

[gate]
max_accuracy_loss = 0.05
max_total_loss = 0.05

[runtime]
device = "cpu"
"""


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_trained_candidate_becomes_champion_and_one_that_is_ruined_by_its_training_does_not(place):
    (place.folder / "small.toml").write_text(REAL)
    code, told = place.night("2026-01-30")
    assert code == 0 and "The candidate passes" in told, told
    (champion,) = place.champion.history()
    saved = champion.decision.checks[0].token_ratio
    assert saved.high < 0.8, "a fifth of the tokens at least"

    (place.folder / "small.toml").write_text(REAL.replace("3e-4", "1e-2"))  # far too large a step
    code, told = place.night("2026-01-31")
    assert code == 0 and "points of accuracy against the champion" in told, told
    assert place.champion.history() == [champion]

    place.typed("rollback", "small")
    assert place.champion.entry().policy is None
