"""The Prefect UI in a real browser, while a sweep runs and after it: what a person sees, and that its links open.

EFFREASON_SCREENSHOTS names a folder that keeps the pictures; docs/ui.md shows four of them.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from prefect_fixtures import ask

from tasks.local import server
from tasks.local.daemons import Daemon

ROOT = Path(__file__).parent.parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-component-update",
    "--disable-background-networking", "--disable-sync", "--hide-scrollbars", "--virtual-time-budget=15000",
)  # fmt: skip
EXPERIMENT = """
name = "digits"
alphas = [0.0, 0.1, 0.3, 0.8]

[[models]]
source = "builtin"

[training]
steps = 40

[selection]
max_accuracy_loss = 0.03

[runtime]
parallel = 3
device = "cpu"
"""
SMALLEST_PICTURE_BYTES = 20_000
"""An empty page is smaller."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]


class Sweep:
    """A sweep on a local server of its own, so that it has an artifact browser too."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.gate = folder, folder / "gate"
        (folder / "digits.toml").write_text(EXPERIMENT)
        self.server = server.ensure_server()
        environment = {**os.environ, **server.run_environment(self.server)}
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "plausible_sweep.py"), "digits.toml"],
            cwd=folder,
            env={**environment, "PLAUSIBLE_GATE": str(self.gate), "PYTHONPATH": str(ROOT)},
            stdout=(folder / "output").open("w"),
            stderr=subprocess.STDOUT,
        )

    def until(self, true: Callable[[], bool], seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            output = (self.folder / "output").read_text()
            assert time.monotonic() < deadline and self.process.poll() in (None, 0), output
            time.sleep(0.5)

    def finish(self) -> None:
        self.gate.touch()
        self.until(lambda: self.process.poll() == 0)

    def artifact(self, key: str) -> dict[str, Any] | None:
        found = ask(self.server, "/artifacts/filter", {"artifacts": {"key": {"any_": [key]}}})
        return found[0] if found else None

    def says(self, key: str, words: str) -> bool:
        artifact = self.artifact(key)
        return artifact is not None and words in str(artifact["data"])


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sweep]:
    folder = tmp_path_factory.mktemp("seen")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EFFREASON_PREFECT_HOME", str(folder / "prefect"))
        patch.delenv("PREFECT_API_URL", raising=False)
        patch.setattr(server, "HEALTHY_WITHIN_SECONDS", 180.0)  # browsers beside it keep the machine busy
        listen_at_a_free_port(folder / "prefect")
        patch.delenv("EFFREASON_ARTIFACTS_URL", raising=False)
        try:
            sweep = Sweep(folder)
            yield sweep
            sweep.process.terminate()
            sweep.process.wait(30)
        finally:
            server.stop()


def listen_at_a_free_port(home: Path) -> None:
    """The usual one may be another's, who stops in the middle of the tests."""
    home.mkdir()
    with socket.socket() as probe:
        probe.bind((server.HOST, 0))
        Daemon(home, "server").publish({"pid": 0, "port": probe.getsockname()[1]})


@pytest.fixture
def seen(tmp_path: Path) -> Callable[..., str]:
    """What the page at an address says when it has loaded; its picture is kept under the name."""

    def seen(address: str, name: str, size: str = "1400,900") -> str:
        picture = Path(os.environ.get("EFFREASON_SCREENSHOTS", tmp_path)) / f"{name}.png"
        command = [CHROMIUM, *OPTIONS, f"--window-size={size}", f"--user-data-dir={tmp_path / 'profile'}"]
        run = {"capture_output": True, "text": True, "timeout": 120, "check": True}
        subprocess.run([*command, f"--screenshot={picture}", address], **run)
        assert picture.stat().st_size > SMALLEST_PICTURE_BYTES
        dumped = subprocess.run([*command, "--dump-dom", address], **run).stdout
        return re.sub(r"\s+", " ", unescape(re.sub(r"<(?:style|script).*?</(?:style|script)>|<[^>]+>", " ", dumped)))

    return seen


def test_while_it_runs_the_dashboard_says_where_each_cell_stands(sweep, seen):
    sweep.until(lambda: sweep.says("digits-dashboard", "digits: 6 of 11") and sweep.says("digits-dashboard", "24/40"))
    page = seen(f"{sweep.server.address}/artifacts/artifact/{sweep.artifact('digits-dashboard')['id']}", "dashboard")
    assert "digits: 6 of 11 steps" in page
    assert re.search(r"reasoner alpha=0\.1 s0 done \d\d\.\d% \[", page), "a measured cell, with intervals"
    assert re.search(r"reasoner alpha=0\.8 s0 running train 24/40 96\.9%", page)
    assert re.search(r"\d+:\d\d to \d+:\d\d left|About \d+:\d\d left|Almost done", page)


def test_the_run_has_a_graph_of_tasks_with_names_that_a_person_can_read(sweep, seen):
    run = sweep.artifact("digits-dashboard")["flow_run_id"]
    page = seen(f"{sweep.server.address}/runs/flow-run/{run}", "run", "1400,1100")
    assert "digits 20" in page and "Running" in page and "full-sweep" in page
    assert "Found in the store" in page or "Made: prepare/" in page, "the log"
    names = {task["name"] for task in ask(sweep.server, "/task_runs/filter", {"flow_runs": {"id": {"any_": [run]}}})}
    assert {"prepare", "train reasoner alpha=0.8 s0", "evaluate reasoner alpha=0.1 s0"} <= names


def test_at_the_end_the_results_have_intervals_a_recommendation_and_links_that_open(sweep, seen):
    sweep.finish()
    results = sweep.artifact("digits-results")
    page = seen(f"{sweep.server.address}/artifacts/artifact/{results['id']}", "results", "1400,620")
    assert re.search(r"0\.3 \d\d\.\d% \[\d\d\.\d, \d\d\.\d\] \d+\.\d \[\d+\.\d, \d+\.\d\] \d\d\.\d% \[", page)
    assert " yes " in page
    follow(results["data"], at_least=9)
    follow(sweep.artifact("digits-dashboard")["data"], at_least=11)


def test_the_report_page_has_the_picture_and_leads_to_report_curves_and_transcripts(sweep, seen):
    report = sweep.artifact("digits")
    page = seen(f"{sweep.server.address}/artifacts/artifact/{report['id']}", "report", "1400,1300")
    assert "Open the report" in page and "training curves" in page and "transcripts" in page
    assert len(report["data"]) < 100_000 and "data:image/svg+xml;base64," in report["data"]
    texts = follow(report["data"], at_least=3)
    whole = next(text for address, text in texts.items() if address.endswith("/report.html"))
    assert 'id="training"' in whole and 'id="transcripts"' in whole
    opened = seen(next(address for address in texts if address.endswith("/report.html")), "opened", "1200,900")
    assert "Frontier" in opened and "Transcripts" in opened


def follow(written: str, at_least: int) -> dict[str, str]:
    """Open every link of a text, and return what is there."""
    addresses = {address.partition("#")[0] for address in re.findall(r"\((http://127[^)]*)\)", written)}
    assert len(addresses) >= at_least
    return {address: opened(address) for address in addresses}


def opened(address: str) -> str:
    with urllib.request.urlopen(address, timeout=20) as page:  # noqa: S310
        return str(page.read().decode())
