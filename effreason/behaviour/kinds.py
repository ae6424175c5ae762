"""The five behaviours that are counted, and what each one is. The labelled traces follow the same definitions."""

from dataclasses import astuple, dataclass
from typing import Literal

Kind = Literal["verification", "backtracking", "exploration", "subgoals", "repetition"]

KINDS: tuple[Kind, ...] = ("verification", "backtracking", "exploration", "subgoals", "repetition")


@dataclass(frozen=True, slots=True)
class Behaviours:
    """How often a text shows each behaviour. Made by `classify` and `judge`; read by `measures` and `agreement`."""

    verification: int
    """A step or an answer is checked, whatever comes of it: by words, by plugging it back in, by computing it again."""
    backtracking: int
    """What was said is called wrong, or an attempt is given up, and something else takes its place."""
    exploration: int
    """Another method, case or reading is considered beside the one that is taken."""
    subgoals: int
    """What is to be found or done is named before it is done: a plan, a division into steps, an intermediate goal."""
    repetition: int
    """A sentence or clause is said again, or a phrase goes round, and no computing again explains it."""

    def __getitem__(self, kind: Kind) -> int:
        return int(getattr(self, kind))

    @property
    def counts(self) -> tuple[int, ...]:
        """The counts in the order of `KINDS`."""
        return astuple(self)
