"""What a sweep has spent, and whether it may start another training run: docs/cost.md.

The budget is that of the sweep, not of a flow run: a step found in the store counts with what it cost when it was made.
Steps that are running count too, and those of this flow run that failed. Only training runs are held back; the
evaluation that follows a training run always takes place, since it shows what the training run achieved.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from prefect import State
from prefect.futures import PrefectFuture
from prefect.states import Cancelled

from effreason.artifacts import Manifest
from effreason.choices import Budget
from effreason.cost import HOUR, Spent, cost_table, out_of_budget, spent_on
from effreason.errors import EffreasonError
from effreason.experiment import CellKey, Experiment
from effreason.planning import steps
from effreason.specs import Address, Spec, TrainSpec
from effreason.store import Store
from effreason.workbench import Runtime
from tasks.running.process import Stopped

Trainings = Mapping[CellKey, PrefectFuture[Any]]
"""The future policy of each cell, or the state that its training run was held back."""
HELD_BACK = "HeldBack"
"""The name of the state of a training run that the budget did not allow."""


class HeldBack(Stopped):
    """A training run was not started because the budget is used up."""

    def __init__(self, limit: str) -> None:
        EffreasonError.__init__(
            self, f"The budget of {limit} is used up.", "Raise runtime.budget and run it again to continue."
        )


class BudgetUsedUp(EffreasonError):
    """Some training runs were held back; those that had started were finished and reported."""

    exit_code = 3


@dataclass
class StepTurn:
    """The turn of a step in this run. Made and read by `SweepSpending`."""

    address: Address
    gpus: float
    cores: int | None
    began: float
    ended: float | None = None
    failed: bool = False

    @property
    def spent(self) -> Spent:
        return Spent.in_turn((self.ended or time.monotonic()) - self.began, self.gpus, self.cores)


class SweepSpending:
    """What one flow run knows about the spending of its sweep. May be used from any thread."""

    def __init__(self, experiment: Experiment, store: Store) -> None:
        self.sweep = experiment
        """The experiment as its tasks have it: every revision is a commit, and a night has its date."""
        self._store = store
        self._sealed: dict[Address, Spent] = {}
        self._labels: dict[Address, str] = {}
        """The labels of the steps that this run has reached."""
        self._turns: list[StepTurn] = []
        self._began = time.monotonic()
        self._told: set[str] = set()
        """The subjects of alarms that have been raised."""
        self._lock, self._looking = threading.Lock(), threading.Lock()
        self._looked = False

    @contextmanager
    def turn(self, spec: Spec, gpus: float | None, runtime: Runtime, alarm: Callable[[str], None]) -> Iterator[None]:
        """Count the turn of a step with `gpus` GPUs; `alarm` is called once if the budget is used up or cannot apply.

        Raises:
            HeldBack: the step is a training run, and the budget is used up.
        """
        if isinstance(spec, TrainSpec):
            self._allow(bool(gpus), alarm)
        turn = StepTurn(spec.address, gpus or 0.0, _cores(spec, runtime), time.monotonic())
        with self._lock:
            self._turns.append(turn)
        try:
            yield
        except BaseException:
            turn.failed = True
            raise
        finally:
            turn.ended = time.monotonic()

    def _allow(self, on_gpus: bool, alarm: Callable[[str], None]) -> None:
        """Raise `HeldBack` if nothing is left for another training run."""
        runtime = self.sweep.runtime
        if limit := self.used_up():
            refusal = HeldBack(limit)
            self._tell_once("limit", f"{refusal.happened} No further training will start.", alarm)
            raise refusal
        if useless := out_of_budget(runtime.budget, runtime.price, on_gpus):
            self._tell_once("price", useless, alarm)

    def _tell_once(self, about: str, sentence: str, alarm: Callable[[str], None]) -> None:
        if about not in self._told:
            self._told.add(about)
            alarm(sentence)

    def sealed(self, label: str, manifest: Manifest) -> None:
        """Record the cost of a step of this run whose artifact is in the store."""
        with self._lock:
            self._labels[manifest.address] = label
            self._sealed[manifest.address] = spent_on(manifest)

    def used_up(self) -> str | None:
        """Return the limit that is reached, in words; None if something is left or there is no budget."""
        budget = self.sweep.runtime.budget
        if budget is None:
            return None
        with self._looking:
            if not self._looked:
                self._look_up()
                self._looked = True
        return self._reached(budget)

    def spent(self) -> Spent:
        """Return what the sweep has spent, as far as this run knows."""
        with self._lock:
            return Spent.all_of(self._spent_on(address) for address in {*self._sealed, *self._addresses_here()})

    def here(self) -> Spent:
        """Return what this run alone has spent, including failed steps."""
        with self._lock:
            return Spent.all_of(turn.spent for turn in self._turns)._replace(tokens=self._tokens_here())

    def markdown(self) -> str:
        """Return a table with a line for each step of the sweep, one for all of them, and one for this run alone."""
        with self._lock:
            rows = {label: self._sealed[address] for address, label in self._labels.items()}
        rows["**all, when they were made**"] = Spent.all_of(rows.values())
        rows["**this run alone**"] = self.here()
        budget = self.sweep.runtime.budget
        over = self._reached(budget) if budget else None  # by what is known: the store is not asked for a page
        held = f"\n\n**The budget of {over} is used up.**" if over else ""
        return f"## Cost\n\n{cost_table(rows, self.sweep.runtime.price)}{held}"

    def _reached(self, budget: Budget) -> str | None:
        return _reached(budget, self.sweep, self.spent(), (time.monotonic() - self._began) / HOUR)

    def _spent_on(self, address: Address) -> Spent:
        """Return what was spent on an artifact, by its manifest or by the turns of this run.

        If a training run was retried, its manifest covers every optimiser step, and the turns of this run also cover
        the start of each attempt; the longer of the two counts.
        """
        turns = [turn for turn in self._turns if turn.address == address]
        here, sealed = Spent.all_of(turn.spent for turn in turns), self._sealed.get(address)
        if sealed is None:
            return here
        longer = any(turn.failed for turn in turns) and here.seconds > sealed.seconds
        return here._replace(tokens=sealed.tokens) if longer else sealed

    def _addresses_here(self) -> set[Address]:
        return {turn.address for turn in self._turns}

    def _tokens_here(self) -> int:
        return sum(self._sealed[address].tokens for address in self._addresses_here() & self._sealed.keys())

    def _look_up(self) -> None:
        """Look up what other runs have made of this sweep; what they make later counts when this run reaches it."""
        for _, spec in steps(self.sweep):
            if spec.address not in self._sealed and (manifest := self._store.find(spec.address)):
                with self._lock:
                    self._sealed[spec.address] = spent_on(manifest)


def _cores(spec: Spec, runtime: Runtime) -> int | None:
    processes = runtime.processes if isinstance(spec, TrainSpec) else 1
    return runtime.threads * processes if runtime.threads else None


def _reached(budget: Budget, experiment: Experiment, spent: Spent, hours: float) -> str | None:
    price = experiment.runtime.price
    limits = [
        (budget.gpu_hours, spent.gpu_seconds / HOUR, "GPU-hours"),
        (budget.core_hours, spent.core_seconds / HOUR, "core-hours"),
        (budget.money, spent.money(price) if price else 0.0, price.currency if price else ""),
        (budget.hours, hours, "hours by the clock"),
    ]
    for limit, used, unit in limits:
        if limit is not None and used >= limit:
            return f"{limit:g} {unit} ({used:.3g} spent)"
    return None


# ------------------------------------------------------------------------------------------------- for the flows


def held_back(refusal: HeldBack) -> State[Any]:
    """Return the state of a training run that was not started."""
    return Cancelled(name=HELD_BACK, message=str(refusal))


def afforded(trainings: Trainings, others: Iterable[PrefectFuture[Any]]) -> list[CellKey]:
    """Wait for all training runs and return the cells of those that the budget allowed.

    Raises:
        BudgetUsedUp: it allowed none; by then `others`, which are never held back, have ended too.
    """
    for training in trainings.values():
        training.wait()
    kept = [key for key, training in trainings.items() if training.state.name != HELD_BACK]
    if not kept:
        for other in others:
            other.wait()
        none = (
            f"None of the {len(trainings)} training runs was" if len(trainings) > 1 else "The only training run was not"
        )
        raise BudgetUsedUp(
            f"{_reason(trainings)} {none} started, so there is nothing to report.",
            "Raise runtime.budget and run it again.",
        )
    return kept


def refuse_the_rest(trainings: Trainings, kept: Sequence[CellKey]) -> None:
    """Raise `BudgetUsedUp` if not all cells were `kept`. To be called after the report."""
    left_out = [key.label for key in trainings if key not in kept]
    if left_out:
        raise BudgetUsedUp(
            f"{_reason(trainings)} {len(left_out)} of {len(trainings)} training runs were not started "
            f"({', '.join(left_out)}), so the report is of the other {len(kept)}.",
            "Raise runtime.budget and run it again to continue.",
        )


def _reason(trainings: Trainings) -> str:
    """Return the message of the first training run that was held back."""
    messages = (future.state.message or "" for future in trainings.values() if future.state.name == HELD_BACK)
    return next(messages).partition(". ")[0] + "."
