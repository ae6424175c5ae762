"""The processes that train one policy together.

Whole prompts are shared out, never the completions of one: every process generates and judges the groups of its own
prompts, and then all hold the whole batch. So rewards and advantages, which look at whole groups and some at the whole
batch, are the same on every process and the same as on one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from torch import distributed

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class World:
    """The processes that train together. Made by `world`; read by the collector, the trainer and the train step."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes files and reports progress."""
        return self.rank == 0

    def share(self, things: Sequence[T]) -> list[T]:
        """Return every `size`th of the things, beginning at this process's own."""
        return list(things[self.rank :: self.size])

    def gather(self, share: list[T]) -> list[T]:
        """Return the things of all processes in the order from which `share` took them; every process calls this."""
        if self.size == 1:
            return share
        shares: list[list[T]] = [[] for _ in range(self.size)]
        distributed.all_gather_object(shares, share)
        total = sum(map(len, shares))
        return [shares[place % self.size][place // self.size] for place in range(total)]


def world() -> World:
    """Return the processes that `accelerate launch` (or torchrun) started, or this one alone."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return World()
    return World(distributed.get_rank(), distributed.get_world_size())
