"""The champion of an experiment: a pointer to a policy in the store that changes atomically and keeps its history.

    champion/NAME/000001.json   an entry: which policy, who made it champion, when and why
    champion/NAME/000002.json   … the last one is in force

Entries are only ever added, each as the successor of the one that its maker has seen. So if two makers change the
champion at once, one succeeds and the other gets an error; and if a maker is killed, the champion is either the old one
or the new one. Without any entry the champion is the base model, which counts as entry 0.
"""

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import takewhile
from typing import NamedTuple

from pydantic import Field, ValidationError

from effreason.artifacts import Decision
from effreason.choices import Name
from effreason.errors import StepFailure, UserError
from effreason.frozen import Frozen
from effreason.specs import Address, Night
from effreason.store import Store
from effreason.store.shelf import Damaged

FOLDER = "champion"


class Entry(Frozen):
    """One change of champion. Made by `Champion`; read by the flow, by `effreason champion` and by people."""

    line: Name
    number: int = Field(ge=1)
    policy: Address | None
    """None means the base model."""
    restores: int | None = None
    """The entry that a rollback goes back to; None in a promotion."""
    decision: Decision | None = None
    """The decision of the night, with its figures; None in a rollback."""
    evaluations: dict[str, Address] = {}
    """The evaluations of `candidate`, `champion` and `base` that the decision rests on."""
    by: str
    at: str
    """UTC, ISO 8601."""
    why: str
    token: str
    """Known to the maker of the entry alone, who checks by it whether the entry that stands is its own."""

    @property
    def in_force(self) -> int:
        """The number of the entry whose policy this one makes champion."""
        return self.number if self.restores is None else self.restores


class Maker(NamedTuple):
    """The person or run that changes the champion, and the reason."""

    by: str
    why: str


class Champion:
    """The champion of the experiment called `line`, in `store`."""

    def __init__(self, store: Store, line: Name) -> None:
        self.line = line
        self._store = store
        self._journal = store.journal(f"{FOLDER}/{line}")

    def entry(self) -> Entry | None:
        """Return the entry in force; None before the first promotion."""
        last = self._journal.last()
        return self._read(last) if last else None

    def history(self) -> list[Entry]:
        """Return all entries, oldest first."""
        return [self._read(number) for number in range(1, self._journal.last() + 1)]

    def promote(self, decision: Decision, evaluations: dict[str, Address], seen: Entry | None, by: str) -> Entry:
        """Make the decision's candidate the champion after `seen`, the entry it was compared with.

        Return the new entry, or that of an earlier run of the same night.

        Raises:
            UserError: the decision does not promote, or its candidate is a former champion.
            StepFailure: somebody else has changed the champion since, or the candidate is not in the store.
        """
        if not decision.promotes:
            raise UserError(f"The gate refused {decision.policy}.", decision.reason)
        entry = Entry(
            line=self.line,
            number=(seen.number if seen else 0) + 1,
            policy=decision.policy,
            decision=decision,
            evaluations=evaluations,
            by=by,
            at=_now(),
            why=decision.reason,
            token=secrets.token_hex(8),
        )
        self._refuse_former(entry)
        return self._add(entry)

    def before(self, night: Night, candidate: Address) -> Entry | None:
        """Return the entry with which a night compares its candidate: the one in force.

        If that night has already made that candidate the champion, return the entry before, so that running the night
        again gives the same result.
        """
        before = list(takewhile(lambda entry: not _made_by(entry, night, candidate), self.history()))
        return before[-1] if before else None

    def roll_back(self, maker: Maker, to: int | None = None) -> Entry:
        """Make the policy of the entry `to` champion again; None means the entry before the one in force, 0 the base
        model.

        Raises:
            UserError: there is no such entry, or it is in force.
            StepFailure: somebody else changed the champion at the same moment, or the policy is no longer in the store.
        """
        seen = self.entry()
        if seen is None:
            raise UserError(f"{self.line} has had no champion but the base model.", "There is nothing to roll back to.")
        goal = self._before(seen) if to is None else self._known(to, seen)
        entry = Entry(
            line=self.line,
            number=seen.number + 1,
            policy=self._read(goal).policy if goal else None,
            restores=goal,
            by=maker.by,
            at=_now(),
            why=maker.why,
            token=secrets.token_hex(8),
        )
        return self._add(entry)

    def _refuse_former(self, entry: Entry) -> None:
        """Raise `UserError` for a former champion: whoever rolled it back had a reason that the gate does not know."""
        history = self.history()
        for former in (each for each in history if each.policy == entry.policy and each.restores is None):
            back = _is_rolled_back(former, history)
            if back or former.number != entry.number:
                raise UserError(
                    f"{entry.policy} has been champion of {self.line} before (entry {former.number}), and "
                    f"{'was rolled back' if back else 'has been replaced'}.",
                    f"To reinstate it, run `effreason rollback {self.line} --to {former.number}`.",
                )

    def _before(self, seen: Entry) -> int:
        """Return the number of the entry to roll back to; a rollback after a rollback goes back further."""
        if seen.in_force == 0:
            raise UserError(
                f"The champion of {self.line} is the base model.", "No earlier champion exists; choose one with --to."
            )
        before = seen.in_force - 1
        return self._read(before).in_force if before else 0

    def _known(self, number: int, seen: Entry) -> int:
        if not 0 <= number <= seen.number:
            raise UserError(
                f"{self.line} has no entry {number}; its last is {seen.number}.", "`effreason champion` lists them."
            )
        goal = self._read(number).in_force if number else 0
        if goal == seen.in_force:
            raise UserError(
                f"Entry {number} of {self.line} is already the champion.", "`effreason champion` lists the others."
            )
        return goal

    def _add(self, entry: Entry) -> Entry:
        if entry.policy is not None and self._store.find(entry.policy) is None:
            raise StepFailure(
                f"The policy {entry.policy} is not in the store, so it cannot be champion.",
                "Train it again, or choose another.",
            )
        self._journal.write(entry.number, entry.model_dump_json(indent=2).encode())
        standing = self._read(entry.number)
        decision = entry.decision
        done = decision is not None and _made_by(standing, decision.night, decision.policy)
        if standing.token != entry.token and not done:
            raise StepFailure(
                f"Meanwhile {standing.by} has made {standing.policy or 'the base model'} champion of {self.line}.",
                "Check `effreason champion`, and run again if you still want the change.",
            )
        return standing

    def _read(self, number: int) -> Entry:
        content = self._journal.read(number)
        try:
            if content is not None:
                return Entry.model_validate_json(content)
            fault = "is missing"
        except ValidationError:
            fault = "cannot be read"
        raise Damaged(
            f"Entry {number} of the champions of {self.line} {fault}.", f"Restore it in {self._journal.where()}."
        )


def _is_rolled_back(entry: Entry, history: Sequence[Entry]) -> bool:
    """Return whether the last rollback after this entry went back beyond it."""
    goals = [later.restores for later in history[entry.number :] if later.restores is not None]
    return bool(goals) and goals[-1] < entry.number


def _made_by(entry: Entry, night: Night, candidate: Address) -> bool:
    """Return whether the entry is the promotion of the candidate by that night."""
    return entry.decision is not None and (entry.decision.night, entry.policy) == (night, candidate)


def lines(store: Store) -> list[str]:
    """Return the names of the experiments that have had a champion."""
    return store.journals(FOLDER)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
