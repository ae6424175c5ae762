"""The price of the machine per hour, and the budget of a sweep. Neither is in any fingerprint: docs/cost.md."""

from typing import Self

from pydantic import Field, model_validator

from effreason.frozen import Frozen


class Price(Frozen):
    """The price of an hour of the machine, in one currency."""

    gpu_hour: float | None = Field(None, ge=0)
    """Price of one GPU, including the cores that go with it; a step that shares a GPU pays for its share."""
    core_hour: float | None = Field(None, ge=0)
    """Price of one core, for steps without a GPU."""
    currency: str = Field("EUR", pattern=r"^\S{1,8}$")
    """The currency of the sums that are shown, such as EUR."""

    @model_validator(mode="after")
    def of_something(self) -> Self:
        if self.gpu_hour is None and self.core_hour is None:
            raise ValueError("A price needs gpu_hour, core_hour or both.")
        return self


class Budget(Frozen):
    """Limits on what a sweep may spend. When one is used up, no further training run starts; those that have started
    are finished and reported."""

    gpu_hours: float | None = Field(None, gt=0)
    """GPU-hours of the whole sweep, whichever flow run spent them; `core_hours` and `money` are counted likewise."""
    core_hours: float | None = Field(None, gt=0)
    """Core-hours of the steps without a GPU."""
    money: float | None = Field(None, gt=0)
    """Cost of the whole sweep, in the currency of the price."""
    hours: float | None = Field(None, gt=0)
    """Wall-clock hours of each flow run."""

    @model_validator(mode="after")
    def of_something(self) -> Self:
        if all(limit is None for limit in (self.gpu_hours, self.core_hours, self.money, self.hours)):
            raise ValueError("A budget needs gpu_hours, core_hours, money or hours.")
        return self
