"""Which length penalty gives the best frontier? Each at three strengths and three seeds on the built-in reasoner.

    python -m effreason.benchmarks.penalties [--part 1/2]

Writes build/penalties.jsonl as it goes and build/penalties.md when all is done. With --part several processes share the
work, each with a file of its own.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from effreason.artifacts import Interval
from effreason.benchmarks.cells import Finished, Way, against, finish
from effreason.choices import (
    BudgetPenalty,
    CosinePenalty,
    DifficultyTargetPenalty,
    LengthTargetPenalty,
    MeanRelativePenalty,
    MinMaxPenalty,
    Penalty,
    ShortestCorrectPenalty,
    SigmoidPenalty,
    SolveRatePenalty,
    TruncationPenalty,
)
from effreason.specs import Training

SEEDS = (0, 1, 2)
BUDGET = 50

STRENGTHS: Sequence[tuple[Penalty, tuple[float, ...]]] = (
    (SigmoidPenalty(), (0.1, 0.3, 0.8)),
    (MinMaxPenalty(), (0.1, 0.4, 1.2)),
    (TruncationPenalty(), (0.55, 0.7, 0.8)),
    (LengthTargetPenalty(target=BUDGET), (0.1, 0.3, 0.8)),
    (DifficultyTargetPenalty(), (0.1, 0.3, 0.8)),
    (BudgetPenalty(), (0.002, 0.006, 0.02)),
    (CosinePenalty(), (0.2, 0.5, 0.9)),
    (SolveRatePenalty(unit=100), (0.05, 0.2, 0.6)),
    (MeanRelativePenalty(), (0.1, 0.33, 1.0)),
    (ShortestCorrectPenalty(unit=100), (0.1, 0.3, 0.8)),
)
"""Each penalty's own alphas, mild to strong for completions of about 90 tokens."""


def ways() -> Iterator[Way]:
    """Every cell, one seed after the other, so that a study cut short has all penalties of some seeds."""
    for seed in SEEDS:
        yield _way(SigmoidPenalty(), 0.0, seed)
        for penalty, alphas in STRENGTHS:
            for alpha in alphas:
                yield _way(penalty, alpha, seed)


def _way(penalty: Penalty, alpha: float, seed: int) -> Way:
    training = Training(
        steps=20,
        prompts_per_step=12,
        completions_per_prompt=8,
        learning_rate=2.5e-4,
        max_tokens=256,
        penalty=penalty,
        checkpoint_every=100,
    )
    budget = BUDGET if isinstance(penalty, BudgetPenalty) else None
    return Way(name=penalty.kind, training=training, alpha=alpha, seed=seed, budget=budget)


def table(cells: Sequence[Finished]) -> str:
    """Token reduction and accuracy of every penalty and strength against the training at alpha 0 of the same seeds."""
    control = [cell for cell in cells if cell.way and cell.way.alpha == 0]
    lines = [
        "| penalty | alpha | tokens saved, % | accuracy, points |",
        "| --- | --- | --- | --- |",
    ]
    for penalty, alphas in STRENGTHS:
        for alpha in alphas:
            tried = [cell for cell in cells if cell.way and (cell.way.name, cell.way.alpha) == (penalty.kind, alpha)]
            if len(tried) == len(control):
                change = against(control, tried)
                lines.append(
                    f"| {penalty.kind} | {alpha:g} | {told(change.token_reduction)} | {told(change.accuracy)} |"
                )
    return "\n".join(lines) + "\n"


def told(interval: Interval | None) -> str:
    """In hundredths, such as `41.2 [38.0, 44.1]`."""
    if interval is None:
        return "too little data"
    low, centre, high = (100 * limit for limit in interval)
    return f"{centre:.1f} [{low:.1f}, {high:.1f}]"


def main() -> None:
    """Run the part that is asked for; without one, all, and then the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", default="1/1", help="share to run, e.g. 1/2 and 2/2 in two processes")
    parser.add_argument("--output", type=Path, default=Path("build"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    part, parts = map(int, options.part.split("/"))
    finish(list(ways())[part - 1 :: parts], options.output / f"penalties-{part}.jsonl")
    read = {
        cell.way: cell
        for path in sorted(options.output.glob("penalties-*.jsonl"))
        for cell in map(Finished.model_validate_json, path.read_text().splitlines())
    }
    (options.output / "penalties.md").write_text(table(list(read.values())))


if __name__ == "__main__":
    main()
