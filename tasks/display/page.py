"""The display in the Prefect UI: a dashboard, and the log and the progress of each step under its task."""

import re
import threading
from contextvars import copy_context
from typing import Self
from uuid import UUID

import httpx
from prefect import get_client, get_run_logger
from prefect.client.orchestration import SyncPrefectClient
from prefect.runtime import flow_run, task_run

from effreason.artifacts import Manifest
from effreason.errors import EffreasonError
from effreason.experiment import Experiment
from effreason.progress import Progress
from tasks.display.board import Board
from tasks.display.dashboard import Dashboard
from tasks.display.levels import level_of
from tasks.display.pinned import Pinned, Shown
from tasks.display.terminal import failure_of, figures_of
from tasks.local.browser import address_of
from tasks.running.spending import SweepSpending

REFRESH_SECONDS = 5.0


class Page:
    """A `tasks.running.launching.Listener` that shows a flow run in the Prefect UI.

    A separate thread sends what is shown: Prefect's client tries for a minute to reach a server that is away, and no
    step should wait for that. A step found in the store has a line in the dashboard but no UI artifact of its own.
    """

    def __init__(self, experiment: Experiment, board: Board, spending: SweepSpending) -> None:
        """Show `board`, a listener that is called before the page, and the cost of the sweep."""
        self._experiment, self._spending = experiment, spending
        self._dashboard = Dashboard(experiment, board)
        self._tagged = False
        self._bars: dict[str, Pinned] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()

    def __enter__(self) -> Self:
        context = copy_context()  # Prefect's settings and the flow run are in it
        self._thread = threading.Thread(target=context.run, args=(self._keep_up,), name="page", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(REFRESH_SECONDS)

    def found(self, label: str, manifest: Manifest) -> None:
        get_run_logger().info("Found in the store: %s", manifest.address)

    def began(self, label: str) -> None:
        began = Shown(0, f"{label}: began")
        task = UUID(task_run.id) if task_run.id else None
        bar = Pinned("progress", key_of(f"{self._experiment.name} {label}"), UUID(flow_run.id), task, began)
        with self._lock:
            self._bars.setdefault(label, bar).show(began)  # a failed step may begin again

    def progressed(self, label: str, progress: Progress) -> None:
        if progress.total:
            percent = min(100.0, 100 * progress.done / progress.total)
            self._bars[label].show(Shown(percent, f"{label}: {figures_of(progress)}"))

    def alarmed(self, label: str, sentence: str) -> None:
        get_run_logger().warning(sentence)

    def said(self, label: str, line: str) -> None:
        get_run_logger().log(level_of(line), line)

    def ended(self, label: str, manifest: Manifest) -> None:
        get_run_logger().info("Made: %s", manifest.address)
        self._bars[label].show(Shown(100, f"{label}: done"))

    def failed(self, label: str, error: EffreasonError) -> None:
        get_run_logger().error(str(error))
        if label in self._bars:  # it may have failed before its turn
            self._bars[label].describe(f"{label}: {failure_of(error)}")

    def _keep_up(self) -> None:
        logger = get_run_logger()
        browser = artifact_browser(self._experiment)
        first = Shown(self._dashboard_and_cost(browser), f"Status of {self._experiment.name}")
        pinned = Pinned("markdown", key_of(f"{self._experiment.name} dashboard"), UUID(flow_run.id), None, first)
        over = False
        while True:
            try:
                with get_client(sync_client=True) as client:
                    self._tag(client)
                    for each in (pinned, *self._all_bars()):
                        each.send(client)
            except httpx.HTTPError as error:
                logger.warning("The Prefect server cannot be told how the run stands: %s", error)
            if over:
                return
            over = self._over.wait(REFRESH_SECONDS)
            pinned.show(Shown(self._dashboard_and_cost(browser, over), first.description))

    def _dashboard_and_cost(self, browser: str | None, over: bool = False) -> str:
        """Return the dashboard with what the sweep has cost so far; it remains however the run ends."""
        return f"{self._dashboard.markdown(browser, over)}\n\n{self._spending.markdown()}"

    def _tag(self, client: SyncPrefectClient) -> None:
        """Tag the flow run, so that the runs of an experiment can be selected.

        Task runs are not tagged: each would then have to ask for the tag's concurrency limit.
        """
        if not self._tagged:
            client.update_flow_run(UUID(flow_run.id), tags={*flow_run.tags, self._experiment.name})
            self._tagged = True

    def _all_bars(self) -> list[Pinned]:
        with self._lock:
            return list(self._bars.values())


def artifact_browser(experiment: Experiment) -> str | None:
    """Return the address at which the experiment's artifacts can be viewed; None, with a warning, if that fails."""
    try:
        return address_of(experiment.store)
    except EffreasonError as error:
        get_run_logger().warning("Artifacts cannot be looked at in the browser: %s", error)
        return None


def key_of(name: str) -> str:
    """Return a valid key of a Prefect artifact: lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower().replace("α", "alpha")).strip("-")
