"""Makes the built-in reasoner: `python -m effreason.reasoner.recipe`, about ten minutes on one core.

The model is trained, saved, then measured, and its card written: no figure of the card is typed by hand.
"""

import argparse
import time
from pathlib import Path

from effreason.reasoner import WEIGHTS
from effreason.reasoner.card import written
from effreason.reasoner.measurement import measure
from effreason.reasoner.pretraining import Training, reproducibly, train
from effreason.reasoner.vocabulary import build_tokenizer


def main() -> None:
    arguments = argparse.ArgumentParser(description="Make the built-in reasoner.")
    arguments.add_argument("--into", type=Path, default=WEIGHTS, help="folder of the weights")
    arguments.add_argument("--steps", type=int, default=Training().steps, help="updates; fewer only to try the recipe")
    chosen = arguments.parse_args()
    with reproducibly():
        make(chosen.into, Training(steps=chosen.steps))


def make(folder: Path, training: Training) -> None:
    """Write the model, its tokenizer and its card into `folder`, over what is there."""
    started = time.monotonic()
    tokenizer = build_tokenizer()
    model = train(training, tokenizer)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    print(f"trained after {time.monotonic() - started:.0f} s; measuring", flush=True)
    (folder / "README.md").write_text(written(measure(model, tokenizer), training, model.num_parameters()))
    print(f"done after {time.monotonic() - started:.0f} s: {folder}")


if __name__ == "__main__":
    main()
