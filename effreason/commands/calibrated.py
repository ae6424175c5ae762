"""What `effreason plan` says of earlier runs: how far its times were off, what is left to do, and what it will cost."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from effreason.artifacts import Interval
    from effreason.choices import Budget
    from effreason.cost import Spent
    from effreason.experiment import Experiment
    from effreason.planning import Calibrations, Device, PlannedStep


def time(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def likely(step: "PlannedStep", calibrations: "Calibrations") -> str:
    """The time of one step by what earlier ones took: `12 min [9 min, 16 min]`; `-` from nothing."""
    found = calibrations.of(step)
    if step.done or found is None or step.cost.seconds is None:
        return "-"
    seconds = found.seconds(step.cost.seconds)
    return _span(seconds) if seconds else f"{time(step.cost.seconds * found.centre)} [?]"


def lines(planned: "Sequence[PlannedStep]", calibrations: "Calibrations", device: "Device") -> Iterator[str]:
    """How the times were calibrated, by kind of step, for those that are left to do."""
    left = [step for step in planned if not step.done]
    if not left:
        return
    yield f"\nTime that earlier steps took on {device.name} / time by this plan (likely = time × this ratio):"
    told: dict[str, None] = {}
    for step in left:
        found = calibrations.of(step)
        if found is None:
            told[f"  {step.spec.step}: no earlier steps, so not calibrated"] = None
            continue
        limits = found.interval
        one = "1 step" if len(found.ratios) == 1 else f"{len(found.ratios)} steps"
        shown = f"[{limits.low:.2f}, {limits.high:.2f}]" if limits else "without an interval: one is too little data"
        told[f"  {step.spec.step}: × {found.centre:.2f} {shown} from {one}"] = None
    yield from told
    together = calibrations.together(left)
    if together:
        yield f"All remaining steps: {_span(together)} one after another (95% interval)."
    else:
        yield "All remaining steps: no interval, since not every kind of step has earlier ones."


def bill(
    experiment: "Experiment",
    planned: "Sequence[PlannedStep]",
    calibrations: "Calibrations",
    device: "Device",
    done: "Spent",
) -> Iterator[str]:
    """What is left will cost so much, by the price; and how much of the budget the steps that are `done` have used."""
    from effreason.cost import HOUR, core_hours, gpu_hours, money, out_of_budget
    from effreason.planning import gpu_time

    price, budget = experiment.runtime.price, experiment.runtime.budget
    left = [step for step in planned if not step.done]
    seconds = gpu_time(experiment, left, calibrations, device) if device.gpu else None
    if seconds is not None and seconds.centre:
        hours = [each / HOUR for each in seconds]
        paid = price.gpu_hour if price else None
        amount = f", {hours[1] * paid:.2f} {_limits(hours, paid)} {price.currency}" if price and paid else ""
        yield f"It takes {hours[1]:.2f} {_limits(hours, 1.0)} GPU-hours{amount}."
    if done.steps:
        figures = [time(done.seconds), f"{gpu_hours(done)} GPU-hours" if done.gpu_seconds else "no GPU"]
        figures += [f"{core_hours(done)} core-hours"] if done.core_seconds else []
        figures += [money(done, price)] if price else []
        yield f"Finished steps ({done.steps} of {len(planned)}) cost {', '.join(figures)}; measured."
    if budget:
        limits = _budget(budget, price.currency if price else "")
        yield f"Budget: {limits}; once it is used up, no further training run starts."
        if budget.gpu_hours and not device.gpu:
            yield "There is no GPU here, so no GPU-hours are counted; set core_hours or hours."
        if useless := out_of_budget(budget, price, on_gpus=device.gpu):
            yield useless


def _budget(budget: "Budget", currency: str) -> str:
    limits = {
        "GPU-hours": budget.gpu_hours,
        "core-hours": budget.core_hours,
        currency: budget.money,
        "hours by the clock of each run": budget.hours,
    }
    return ", ".join(f"{limit:g} {unit}" for unit, limit in limits.items() if limit is not None)


def _limits(hours: Sequence[float], scale: float) -> str:
    low, high = scale * hours[0], scale * hours[2]
    return f"[{low:.2f}, {high:.2f}]" if low < high else "(by the formulas, without an interval)"


def _span(seconds: "Interval") -> str:
    return f"{time(seconds.centre)} [{time(seconds.low)}, {time(seconds.high)}]"
