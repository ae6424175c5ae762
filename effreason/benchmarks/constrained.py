"""Does the accuracy-constrained alpha keep its limit, and how much does it save? Five seeds on the built-in reasoner.

    python -m effreason.benchmarks.constrained

The penalty is the solve-rate's, whose price of a token is paid by wrong answers too, so that a large alpha buys brevity
with accuracy. The ceiling is an alpha that violates the limit for most seeds. Writes build/constrained.jsonl as it
goes, and build/constrained.md.
"""

import argparse
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import torch

from effreason.benchmarks.cells import Finished, Way, against, finish
from effreason.benchmarks.penalties import told
from effreason.choices import AccuracyConstrained, ConstantAlpha, Schedule, SolveRatePenalty
from effreason.specs import Training

SEEDS = (0, 1, 2, 3, 4)
LIMIT = 0.02
CONSTANTS = (0.0, 2.0, 12.0)
CEILING = CONSTANTS[-1]


def ways() -> Iterator[Way]:
    """Every cell, those whose alpha is found first."""
    for seed in SEEDS:
        yield _way(AccuracyConstrained(max_accuracy_loss=LIMIT), CEILING, seed)
    for seed, alpha in product(SEEDS, CONSTANTS):
        yield _way(ConstantAlpha(), alpha, seed)


def _way(schedule: Schedule, alpha: float, seed: int) -> Way:
    training = Training(
        steps=100,
        prompts_per_step=12,
        completions_per_prompt=8,
        learning_rate=2.5e-4,
        max_tokens=256,
        penalty=SolveRatePenalty(unit=100),
        schedule=schedule,
        checkpoint_every=100,
    )
    return Way(name=schedule.kind, training=training, alpha=alpha, seed=seed)


def table(cells: Sequence[Finished]) -> str:
    """Against the training at alpha 0 of the same seed."""
    lines = [
        "| seed | alpha | tokens saved, % | accuracy, points | last alpha |",
        "| --- | --- | --- | --- | --- |",
    ]
    for seed in SEEDS:
        of_seed = [cell for cell in cells if cell.way and cell.way.seed == seed]
        control = [cell for cell in of_seed if cell.way and cell.way.alpha == 0]
        lines += [_row(seed, control, cell) for cell in of_seed if control and cell not in control]
    return "\n".join(lines) + "\n"


def _row(seed: int, control: Sequence[Finished], cell: Finished) -> str:
    assert cell.way is not None  # noqa: S101  the table has trained cells alone
    change = against(control, [cell])
    name = f"{cell.way.alpha:g}" if cell.way.name == "constant" else f"found, at most {cell.way.alpha:g}"
    return f"| {seed} | {name} | {told(change.token_reduction)} | {told(change.accuracy)} | {cell.alphas[-1]:.2f} |"


def main() -> None:
    """Train what is missing, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("build"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    cells = finish(ways(), options.output / "constrained.jsonl")
    (options.output / "constrained.md").write_text(table(cells))


if __name__ == "__main__":
    main()
