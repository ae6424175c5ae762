"""What was measured, as Markdown."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from effreason.benchmarks.rounds import Ratio, Rounds, ratio, seconds_of_rounds
from effreason.benchmarks.target import Level, Pursuit


def table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (heading, ["---"] * len(heading), *rows))


def step_table(found: Mapping[str, Rounds]) -> str:
    """Seconds per step of each contestant, the least and the greatest of its rounds, and where they go."""
    heading = ("", "s per step (lowest to highest round)", "generate", "score", "update", "tokens per step")
    return table(heading, [_step_row(name, rounds) for name, rounds in found.items()])


def _step_row(name: str, rounds: Rounds) -> list[str]:
    taken = [stride for strides in rounds for stride in strides]
    seconds = seconds_of_rounds(rounds)
    parts = [median(one.generate for one in taken), median(one.score for one in taken)]
    parts.append(median(one.update for one in taken))
    return [
        name,
        f"{median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f})",
        *(f"{part:.3f}" for part in parts),
        f"{median(one.tokens for one in taken):,.0f}",
    ]


def worth_table(found: Mapping[str, Rounds], whole: str) -> str:
    """Seconds per step without each means, as a multiple of the step with all of them."""
    base = seconds_of_rounds(found[whole])
    rows = [
        [*_step_row(name, rounds)[:5], said(ratio(seconds_of_rounds(rounds), base))] for name, rounds in found.items()
    ]
    return table(
        ("without", "s per step (lowest to highest round)", "generate", "score", "update", "of the whole"), rows
    )


def target_table(found: Mapping[str, Sequence[Pursuit]], base: Level) -> str:
    """Every run towards the target, with what it was measured at last."""
    rows = [[name, str(run.seed), *_run(run, base)] for name, runs in found.items() for run in runs]
    return table(("", "seed", "s to the target", "steps", "tokens of the base", "accuracy at last"), rows)


def _run(run: Pursuit, base: Level) -> list[str]:
    seconds = f"{run.seconds:.1f}" if run.reached else f"missed in {run.seconds:.1f}"
    return [seconds, str(run.steps), f"{run.last.tokens / base.tokens:.0%}", f"{run.last.accuracy:.1%}"]


def said(ratio: Ratio) -> str:
    """With its interval, or why it has none."""
    if ratio.confidence is None:
        return f"{ratio.middle:.3f} (one round: no interval)"
    return f"{ratio.middle:.3f} ({ratio.low:.3f} to {ratio.high:.3f}, {ratio.confidence:.0%} interval of the median)"
