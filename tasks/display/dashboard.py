"""The dashboard of a run: a page of Markdown for the Prefect UI, with a line for each cell.

An evaluation's figures have 95% intervals over problems. Those of a training run in progress are of its latest batch
alone, sampled at the training temperature: they show how it goes, not how good the policy is.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from effreason.artifacts import Evaluation, Interval, Measures
from effreason.cost import seconds_of
from effreason.experiment import Experiment
from effreason.figures import count, percent
from effreason.progress import Progress
from tasks.display.board import Board, Standing, State
from tasks.display.remaining import Seconds, remaining
from tasks.display.terminal import clock

NOTE = (
    "Tokens per completion; brackets: 95% confidence intervals over problems. Figures in *italics* are from the latest "
    "batch of a training run in progress, without an interval: they show how it goes, not how good the model is."
)
ORDER = (State.FAILED, State.STOPPED, State.RUNNING)
"""The states of a step that decide the state of its cell, first match first."""


@dataclass(frozen=True)
class Line:
    """A cell, or a step that concerns all cells, with the status of its steps."""

    subject: str
    standings: tuple[Standing, ...]

    @property
    def state(self) -> State:
        states = {standing.state for standing in self.standings}
        for state in ORDER:
            if state in states:
                return state
        if states <= {State.FOUND, State.DONE}:
            return State.DONE if State.DONE in states else State.FOUND
        return State.WAITING

    @property
    def measured(self) -> Standing | None:
        return next((one for one in self.standings if one.over and one.kind == "evaluate"), None)

    @property
    def running(self) -> Standing | None:
        return next((one for one in self.standings if one.state is State.RUNNING), None)


class Dashboard:
    """The writer of the dashboard. It remembers the largest number of concurrent steps that it has seen."""

    def __init__(self, experiment: Experiment, board: Board) -> None:
        self._name = experiment.name
        self._suite, *self._others = (suite.name for suite in experiment.data.measured())
        self._board = board
        self._most_at_once = 1

    def markdown(self, browser: str | None, over: bool = False) -> str:
        """Return the dashboard as Markdown.

        `browser` is the address at which artifacts can be viewed, if any; `over` means that no more steps will begin.
        """
        standings = self._board.standings()
        self._most_at_once = max(self._most_at_once, _number(standings, State.RUNNING))
        parts = [
            f"# {self._name}: {_done(standings)} of {len(standings)} steps",
            self._summary(standings, over),
            *_troubles(standings),
            "\n".join(self._table(lines_of(standings), browser)),
            NOTE + self._elsewhere(),
        ]
        return "\n\n".join(parts)

    def _summary(self, standings: Sequence[Standing], over: bool) -> str:
        counts = [f"{number} {state}" for state in State if (number := _number(standings, state))]
        ahead = self._forecast(standings, over)
        return f"{', '.join(counts)}. {ahead} As of {datetime.now().astimezone():%H:%M:%S %Z}."

    def _forecast(self, standings: Sequence[Standing], over: bool) -> str:
        if all(standing.over for standing in standings):
            return "All steps are done."
        if over:
            return "Finished steps are kept; the next run continues from there."
        match remaining(standings, self._most_at_once):
            case Seconds(low, high) if high > 0:
                steps = "1 step" if self._most_at_once == 1 else f"{self._most_at_once} steps"
                return f"**{_span(low, high)} left** at the pace so far, with {steps} at a time."
            case Seconds():
                return "**Almost done.**"
            case unknown:
                return f"No estimate of the time left: {unknown.reason}."

    def _table(self, lines: Iterable[Line], browser: str | None) -> Iterable[str]:
        columns: dict[str, Callable[[Line], str]] = {
            "": lambda line: line.subject,
            "state": lambda line: f"**{line.state}**" if line.state in ORDER else line.state,
            "step": _step,
            f"accuracy, {self._suite}": lambda line: self._figure(line, "accuracy"),
            "tokens": lambda line: self._figure(line, "tokens"),
            "took": _took,
        }
        if browser is not None:
            columns["artifacts"] = lambda line: _links(line, browser)
        yield f"| {' | '.join(columns)} |"
        yield "| --- " * len(columns) + "|"
        for line in lines:
            yield f"| {' | '.join(cell(line) for cell in columns.values())} |"

    def _figure(self, line: Line, name: str) -> str:
        """Return the figure of the evaluation, else of the latest batch of a training run in progress, else nothing."""
        if line.measured is not None:
            return _written(_measures(line.measured, self._suite), name)
        running = line.running
        latest = running.progress if running is not None and running.kind == "train" else None
        return _of_the_batch(latest, name)

    def _elsewhere(self) -> str:
        return f" {', '.join(self._others)}: in the results, when all steps are done." if self._others else ""


def lines_of(standings: Iterable[Standing]) -> list[Line]:
    """Group the steps into lines, with a training run and its evaluation in one line."""
    by_subject: dict[str, list[Standing]] = {}
    for standing in standings:
        by_subject.setdefault(standing.subject, []).append(standing)
    return [Line(subject, tuple(steps)) for subject, steps in by_subject.items()]


def _step(line: Line) -> str:
    """Return the running step and its progress, such as `train 12/40`."""
    running = line.running
    if running is None:
        return ""
    progress = running.progress
    if progress is None:
        return running.kind
    phase = "" if progress.phase == running.kind else f": {progress.phase}"
    done = f" {progress.done}/{progress.total}" if progress.total else ""
    return f"{running.kind}{phase}{done}"


def _took(line: Line) -> str:
    seconds = [seconds_of(one.manifest) for one in line.standings if one.manifest is not None]
    return clock(sum(seconds)) if seconds else ""


def _links(line: Line, browser: str) -> str:
    made = [(one.kind, one.manifest.address) for one in line.standings if one.manifest is not None]
    return ", ".join(f"[{kind}]({browser}/{address}/)" for kind, address in made)


def _measures(standing: Standing, suite: str) -> Measures | None:
    made = standing.manifest.artifact if standing.manifest is not None else None
    return made.suites.get(suite) if isinstance(made, Evaluation) else None


def _written(measures: Measures | None, name: str) -> str:
    if measures is None:
        return ""
    interval: Interval | None = getattr(measures, name)
    return str(percent(interval) if name == "accuracy" else count(interval))


def _of_the_batch(progress: Progress | None, name: str) -> str:
    if progress is None or name not in progress.figures:
        return ""
    figure = progress.figures[name]
    return f"*{100 * figure:.1f}%*" if name == "accuracy" else f"*{figure:.0f}*"


def _span(low: float, high: float) -> str:
    shortest, longest = clock(low), clock(high)
    return f"About {longest}" if shortest == longest else f"{shortest} to {longest}"


def _troubles(standings: Iterable[Standing]) -> list[str]:
    told = [f"- **{one.label}**: {one.trouble}" for one in standings if one.trouble]
    return ["\n".join(told)] if told else []


def _number(standings: Iterable[Standing], state: State) -> int:
    return sum(standing.state is state for standing in standings)


def _done(standings: Iterable[Standing]) -> int:
    return sum(standing.over for standing in standings)
