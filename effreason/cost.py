"""What steps have cost: GPU-seconds, core-seconds, generated tokens and, by a price, money.

All of it is measured, so nothing here has an interval. A step counts from when it got its share of the machine until
its artifact was sealed, whichever run made it: `found` and `made` cost the same. A training that was continued from a
checkpoint counts the steps before it, too, but not the start of each attempt, and a failed step is in no manifest.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Self

from effreason.artifacts import Manifest, Policy, Provenance
from effreason.choices import Budget, Price

HOUR = 3600.0
MEASURED = "Measured, so without intervals; time is added up over steps, also over those that ran side by side."


class Spent(NamedTuple):
    """The cost of one step or of several. Made here; read by the report, the budget, the plan and the Prefect UI."""

    steps: int = 0
    seconds: float = 0.0
    gpu_seconds: float = 0.0
    """GPUs × seconds, fractions of GPUs included."""
    core_seconds: float = 0.0
    """Cores × seconds, of steps without a GPU."""
    uncounted: int = 0
    """Steps without a GPU whose number of cores is not recorded."""
    tokens: int = 0
    """Tokens generated in rollouts and in evaluations."""

    @classmethod
    def all_of(cls, spent: Iterable[Self]) -> Self:
        """Return the sum."""
        rows = list(spent)
        return cls(*(sum(column) for column in zip(*rows, strict=True))) if rows else cls()

    @classmethod
    def in_turn(cls, seconds: float, gpus: float, cores: int | None, tokens: int = 0) -> Self:
        """Return the cost of one step that had these GPUs, or else these cores, for `seconds`."""
        if gpus:
            return cls(1, seconds, gpus * seconds, tokens=tokens)
        return cls(1, seconds, 0.0, (cores or 0) * seconds, int(cores is None), tokens)

    def money(self, price: Price) -> float:
        """Return the cost in the price's currency; what has no price counts 0, and `unpriced` lists it."""
        return (self.gpu_seconds * (price.gpu_hour or 0.0) + self.core_seconds * (price.core_hour or 0.0)) / HOUR

    def unpriced(self, price: Price) -> list[str]:
        """Return what `money` leaves out, in words."""
        left_out = {
            "GPUs": self.gpu_seconds > 0 and price.gpu_hour is None,
            "steps without a GPU": (self.core_seconds > 0 or self.uncounted > 0) and price.core_hour is None,
            "steps whose cores are not recorded": self.uncounted > 0 and price.core_hour is not None,
        }
        return [what for what, so in left_out.items() if so]


def out_of_budget(budget: Budget | None, price: Price | None, on_gpus: bool) -> str | None:
    """Return a caution that a budget of money counts no training run, as what they run on has no price; else None."""
    hour = "gpu_hour" if on_gpus else "core_hour"
    if budget is None or budget.money is None or price is None or getattr(price, hour) is not None:
        return None
    place = "on GPUs" if on_gpus else "without a GPU"
    return (
        f"The budget of {budget.money:g} {price.currency} counts no training: "
        f"they run {place}, and runtime.price names no {hour}."
    )


def spent_on(manifest: Manifest) -> Spent:
    """Return what the artifact cost when it was made."""
    origin = manifest.provenance
    return Spent.in_turn(seconds_of(manifest), gpus_had(origin), origin.cores, generated_tokens(manifest))


def seconds_of(manifest: Manifest) -> float:
    """Return the seconds of the step's turn; without the start of its process where its turn is not recorded."""
    seconds = manifest.provenance.turn_seconds or manifest.provenance.seconds
    return max(seconds, manifest.artifact.seconds) if isinstance(manifest.artifact, Policy) else seconds


def gpus_had(origin: Provenance) -> float:
    """Return the number of GPUs that the step had, or if that is not recorded, that it saw."""
    return origin.gpus if origin.gpus is not None else float(origin.hardware.get("gpus", 0))


def generated_tokens(manifest: Manifest) -> int:
    """Return the generated tokens; 0 for the steps that generate none."""
    return int(getattr(manifest.artifact, "generated_tokens", 0))


# --------------------------------------------------------------------------------------------- as a person reads


def gpu_hours(spent: Spent) -> str:
    """Format the GPU-hours, such as `1.25`, or `no GPU`."""
    return f"{spent.gpu_seconds / HOUR:.{_digits(spent.gpu_seconds / HOUR)}f}" if spent.gpu_seconds else "no GPU"


def core_hours(spent: Spent) -> str:
    """Format the core-hours of the steps without a GPU; `not recorded` where they are known of none."""
    if not spent.core_seconds:
        return "not recorded" if spent.uncounted else "none"
    more = " and more" if spent.uncounted else ""
    return f"{spent.core_seconds / HOUR:.{_digits(spent.core_seconds / HOUR)}f}{more}"


def money(spent: Spent, price: Price) -> str:
    """Format the money, such as `3.20 EUR`, or `no price` where nothing of it has one."""
    amount = spent.money(price)
    if not amount and spent.unpriced(price):
        return "no price"
    return sum_of(amount, price.currency)


def sum_of(amount: float, currency: str) -> str:
    return f"{amount:.{_digits(amount)}f} {currency}"


def tokens(spent: Spent) -> str:
    return f"{spent.tokens:,}" if spent.tokens else "none"


def clock(seconds: float) -> str:
    """Format a duration: `42 s`, `12 min`, `3.4 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / HOUR:.1f} h"


def cost_table(rows: Mapping[str, Spent], price: Price | None) -> str:
    """Return a Markdown table with a line for each of `rows`, and what the sums leave out."""
    heads = ["", "Steps", "Time", "GPU-hours", "Core-hours", "Generated tokens", *(["Money"] if price else [])]
    lines = [heads, ["---"] * len(heads), *([name, *_cells(spent, price)] for name, spent in rows.items())]
    return "\n".join([*(f"| {' | '.join(line)} |" for line in lines), "", notes(rows.values(), price)])


def notes(rows: Iterable[Spent], price: Price | None) -> str:
    """Return the notes below a table of costs: what its figures count and leave out."""
    sentences = [MEASURED]
    if price is not None:
        sentences.append(f"Prices: {_prices(price)}.")
        left_out = dict.fromkeys(what for spent in rows for what in spent.unpriced(price))
        sentences += [f"Money leaves out {', '.join(left_out)}, which the price does not name."] if left_out else []
    return " ".join(sentences)


def _cells(spent: Spent, price: Price | None) -> list[str]:
    figures = [str(spent.steps), clock(spent.seconds), gpu_hours(spent), core_hours(spent), tokens(spent)]
    return [*figures, money(spent, price)] if price else figures


def _prices(price: Price) -> str:
    named = {"a GPU-hour": price.gpu_hour, "a core-hour": price.core_hour}
    return " and ".join(f"{each:g} {price.currency} {what}" for what, each in named.items() if each is not None)


def _digits(number: float) -> int:
    """Return the decimals with which an amount has three significant digits, and at least two."""
    digits = 2
    while digits < 6 and 0 < number < 10 ** (2 - digits):
        digits += 1
    return digits
