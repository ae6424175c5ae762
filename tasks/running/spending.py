"""What a sweep has spent, and whether it may begin another training: docs/cost.md.

A budget is of the sweep, not of a run: a step that is found in the store counts as what it cost when it was made.
Besides count the steps that run, and those of this run that failed. Only trainings are held back: what a training that
has begun is good for is told by the measurement after it.
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
"""By cell, the policy to come, or that it was held back."""
HELD_BACK = "HeldBack"
"""The name of the state of a training that the budget did not allow."""


class HeldBack(Stopped):
    """A training that was not begun because the budget is used up."""

    def __init__(self, limit: str) -> None:
        EffreasonError.__init__(
            self, f"The budget of {limit} is used up.", "Raise runtime.budget and run it again to continue."
        )


class BudgetUsedUp(EffreasonError):
    """The run has finished what it had begun, and reported it; some trainings were held back."""

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
    """What one flow run knows of the spending of its sweep. From any thread."""

    def __init__(self, experiment: Experiment, store: Store) -> None:
        self.sweep = experiment
        """As its tasks have it: with every revision a commit and, of a night, its date."""
        self._store = store
        self._sealed: dict[Address, Spent] = {}
        self._labels: dict[Address, str] = {}
        """Of the steps that this run has come to."""
        self._turns: list[StepTurn] = []
        self._began = time.monotonic()
        self._told: set[str] = set()
        """What alarms have been about."""
        self._lock, self._looking = threading.Lock(), threading.Lock()
        self._looked = False

    @contextmanager
    def turn(self, spec: Spec, gpus: float | None, runtime: Runtime, alarm: Callable[[str], None]) -> Iterator[None]:
        """Count the turn of a step that has so many GPUs; `alarm` is told, once, that the budget is used up or useless.

        Raises:
            HeldBack: it is a training, and nothing is left for it.
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
        """Raises `HeldBack` where nothing is left for another training."""
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
        """The artifact of a step of this run is in the store."""
        with self._lock:
            self._labels[manifest.address] = label
            self._sealed[manifest.address] = spent_on(manifest)

    def used_up(self) -> str | None:
        """Which limit is reached, in words; None where there is something left, or no budget."""
        budget = self.sweep.runtime.budget
        if budget is None:
            return None
        with self._looking:
            if not self._looked:
                self._look_up()
                self._looked = True
        return _reached(budget, self.sweep, self.spent(), (time.monotonic() - self._began) / HOUR)

    def spent(self) -> Spent:
        """On the sweep, as far as is known here."""
        with self._lock:
            return Spent.all_of(self._spent_on(address) for address in {*self._sealed, *self._addresses_here()})

    def here(self) -> Spent:
        """In this run alone, failed steps included."""
        with self._lock:
            return Spent.all_of(turn.spent for turn in self._turns)._replace(tokens=self._tokens_here())

    def markdown(self) -> str:
        """A line for each step of the sweep, for all of them, and for what this run alone has spent."""
        with self._lock:
            rows = {label: self._sealed[address] for address, label in self._labels.items()}
        rows["**all, when they were made**"] = Spent.all_of(rows.values())
        rows["**this run alone**"] = self.here()
        over = self.used_up()
        held = f"\n\n**The budget of {over} is used up.**" if over else ""
        return f"## Cost\n\n{cost_table(rows, self.sweep.runtime.price)}{held}"

    def _spent_on(self, address: Address) -> Spent:
        """Of a training that was tried again the manifest knows every step, and the turns here how each try began."""
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
        """What other runs have made of this sweep; what they make from now on counts when this one comes to it."""
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
    """The state of a training that was not begun."""
    return Cancelled(name=HELD_BACK, message=str(refusal))


def afforded(trainings: Trainings, others: Iterable[PrefectFuture[Any]]) -> list[CellKey]:
    """Those that the budget allowed, once all are decided.

    Raises:
        BudgetUsedUp: it allowed none; `others`, of which none is held back, have come to their end by then.
    """
    for training in trainings.values():
        training.wait()
    kept = [key for key, training in trainings.items() if training.state.name != HELD_BACK]
    if not kept:
        for other in others:
            other.wait()
        raise BudgetUsedUp(
            f"{_reason(trainings)} None of the {len(trainings)} trainings was started, so there is nothing to report.",
            "Raise runtime.budget and run it again.",
        )
    return kept


def refuse_the_rest(trainings: Trainings, kept: Sequence[CellKey]) -> None:
    """After the report of those that were `kept`. Raises `BudgetUsedUp` where there are others."""
    left_out = [key.label for key in trainings if key not in kept]
    if left_out:
        raise BudgetUsedUp(
            f"{_reason(trainings)} {len(left_out)} of {len(trainings)} trainings were not started "
            f"({', '.join(left_out)}), so the report is of the other {len(kept)}.",
            "Raise runtime.budget and run it again to continue.",
        )


def _reason(trainings: Trainings) -> str:
    """The sentence of the first that was held back."""
    messages = (future.state.message or "" for future in trainings.values() if future.state.name == HELD_BACK)
    return next(messages).partition(". ")[0] + "."
