"""What steps have cost: GPU-seconds, core-seconds, generated tokens and, by a price, money.

All of it is measured, so nothing here has an interval. A step counts from when it got its share of the machine until
its artifact was sealed, whichever run made it: `found` and `made` cost the same. A training that was continued from a
checkpoint counts the steps before it, too, but not the start of each attempt, and a failed step is in no manifest.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Self

from effreason.artifacts import Manifest, Policy, Provenance
from effreason.choices import Price

HOUR = 3600.0
MEASURED = "Measured, so without intervals; time is added up over steps, also over those that ran side by side."


class Spent(NamedTuple):
    """By one step or by several. Made here; read by the report, the budget, the plan and the Prefect UI."""

    steps: int = 0
    seconds: float = 0.0
    gpu_seconds: float = 0.0
    """GPUs × seconds, where parts of GPUs count as parts."""
    core_seconds: float = 0.0
    """Cores × seconds, of steps without a GPU."""
    uncounted: int = 0
    """Steps without a GPU of which it is not recorded how many cores they used."""
    tokens: int = 0
    """Generated, in rollouts and in evaluations."""

    @classmethod
    def all_of(cls, spent: Iterable[Self]) -> Self:
        """Added up."""
        rows = list(spent)
        return cls(*(sum(column) for column in zip(*rows, strict=True))) if rows else cls()

    @classmethod
    def in_turn(cls, seconds: float, gpus: float, cores: int | None, tokens: int = 0) -> Self:
        """By one step that had so many GPUs, or else cores, for `seconds`."""
        if gpus:
            return cls(1, seconds, gpus * seconds, tokens=tokens)
        return cls(1, seconds, 0.0, (cores or 0) * seconds, int(cores is None), tokens)

    def money(self, price: Price) -> float:
        """In the price's currency; what has no price counts nothing, and `unpriced` tells of it."""
        return (self.gpu_seconds * (price.gpu_hour or 0.0) + self.core_seconds * (price.core_hour or 0.0)) / HOUR

    def unpriced(self, price: Price) -> list[str]:
        """What `money` leaves out, in words."""
        left_out = {
            "GPUs": self.gpu_seconds > 0 and price.gpu_hour is None,
            "steps without a GPU": (self.core_seconds > 0 or self.uncounted > 0) and price.core_hour is None,
            "steps whose cores are not recorded": self.uncounted > 0 and price.core_hour is not None,
        }
        return [what for what, so in left_out.items() if so]


def spent_on(manifest: Manifest) -> Spent:
    """What the artifact cost when it was made."""
    origin = manifest.provenance
    return Spent.in_turn(seconds_of(manifest), gpus_had(origin), origin.cores, generated_tokens(manifest))


def seconds_of(manifest: Manifest) -> float:
    """Of the step's turn; without the start of its process where its turn is not recorded."""
    seconds = manifest.provenance.turn_seconds or manifest.provenance.seconds
    return max(seconds, manifest.artifact.seconds) if isinstance(manifest.artifact, Policy) else seconds


def gpus_had(origin: Provenance) -> float:
    """That the step had; those that it saw where nothing else is recorded."""
    return origin.gpus if origin.gpus is not None else float(origin.hardware.get("gpus", 0))


def generated_tokens(manifest: Manifest) -> int:
    """0 for the steps that generate none."""
    return int(getattr(manifest.artifact, "generated_tokens", 0))


# --------------------------------------------------------------------------------------------- as a person reads


def gpu_hours(spent: Spent) -> str:
    """Such as `1.25`, or `no GPU`."""
    return f"{spent.gpu_seconds / HOUR:.{_digits(spent.gpu_seconds / HOUR)}f}" if spent.gpu_seconds else "no GPU"


def core_hours(spent: Spent) -> str:
    """Of the steps without a GPU; `not recorded` where nobody knows it of any."""
    if not spent.core_seconds:
        return "not recorded" if spent.uncounted else "none"
    more = " and more" if spent.uncounted else ""
    return f"{spent.core_seconds / HOUR:.{_digits(spent.core_seconds / HOUR)}f}{more}"


def money(spent: Spent, price: Price) -> str:
    """Such as `3.20 EUR`, or `no price` where nothing of it has one."""
    amount = spent.money(price)
    if not amount and spent.unpriced(price):
        return "no price"
    return sum_of(amount, price.currency)


def sum_of(amount: float, currency: str) -> str:
    return f"{amount:.{_digits(amount)}f} {currency}"


def tokens(spent: Spent) -> str:
    return f"{spent.tokens:,}" if spent.tokens else "none"


def clock(seconds: float) -> str:
    """`42 s`, `12 min`, `3.4 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / HOUR:.1f} h"


def cost_table(rows: Mapping[str, Spent], price: Price | None) -> str:
    """Markdown: a line for each of `rows`, and what the sums leave out."""
    heads = ["", "Steps", "Time", "GPU-hours", "Core-hours", "Generated tokens", *(["Money"] if price else [])]
    lines = [heads, ["---"] * len(heads), *([name, *_cells(spent, price)] for name, spent in rows.items())]
    return "\n".join([*(f"| {' | '.join(line)} |" for line in lines), "", notes(rows.values(), price)])


def notes(rows: Iterable[Spent], price: Price | None) -> str:
    """What is to be known of the figures of a table."""
    told = [MEASURED]
    if price is not None:
        told.append(f"Prices: {_prices(price)}.")
        left_out = dict.fromkeys(what for spent in rows for what in spent.unpriced(price))
        told += [f"Money leaves out {', '.join(left_out)}, which the price does not name."] if left_out else []
    return " ".join(told)


def _cells(spent: Spent, price: Price | None) -> list[str]:
    figures = [str(spent.steps), clock(spent.seconds), gpu_hours(spent), core_hours(spent), tokens(spent)]
    return [*figures, money(spent, price)] if price else figures


def _prices(price: Price) -> str:
    named = {"a GPU-hour": price.gpu_hour, "a core-hour": price.core_hour}
    return " and ".join(f"{each:g} {price.currency} {what}" for what, each in named.items() if each is not None)


def _digits(number: float) -> int:
    """So many after the point that three count, and at least two."""
    digits = 2
    while digits < 6 and 0 < number < 10 ** (2 - digits):
        digits += 1
    return digits
