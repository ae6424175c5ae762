"""What the machine costs an hour, and how much a sweep may spend. Neither is in any fingerprint: docs/cost.md."""

from typing import Self

from pydantic import Field, model_validator

from effreason.frozen import Frozen


class Price(Frozen):
    """Of an hour, in one currency."""

    gpu_hour: float | None = Field(None, ge=0)
    """Of one GPU, with the cores that go with it; a step that shares a GPU pays for its share."""
    core_hour: float | None = Field(None, ge=0)
    """Of one core, for steps that have no GPU."""
    currency: str = Field("EUR", pattern=r"^\S{1,8}$")

    @model_validator(mode="after")
    def of_something(self) -> Self:
        if self.gpu_hour is None and self.core_hour is None:
            raise ValueError("A price needs gpu_hour, core_hour or both.")
        return self


class Budget(Frozen):
    """When one of these is used up, no further training begins; what runs is finished and reported."""

    gpu_hours: float | None = Field(None, gt=0)
    """Of the whole sweep, whichever run spent them; as are the next two."""
    core_hours: float | None = Field(None, gt=0)
    """Of steps that have no GPU."""
    money: float | None = Field(None, gt=0)
    """In the currency of the price."""
    hours: float | None = Field(None, gt=0)
    """By the clock, of each run."""

    @model_validator(mode="after")
    def of_something(self) -> Self:
        if all(limit is None for limit in (self.gpu_hours, self.core_hours, self.money, self.hours)):
            raise ValueError("A budget needs gpu_hours, core_hours, money or hours.")
        return self
