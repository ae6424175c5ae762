"""Where a training run may be interrupted: between the batches of two steps, where no batch needs to be stored."""

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from effreason.specs import Training

Keep = Callable[[int, Path], None]
"""A callback that gets the step's number and a folder from which training can resume, which is removed after."""


class Boundaries(TrainerCallback):  # type: ignore[misc]  # transformers is not followed by mypy
    """Takes checkpoints at regular steps, and before training stops on request."""

    def __init__(self, training: Training, keep: Keep, stopping: threading.Event) -> None:
        self.training = training
        self.keep = keep
        self.stopping = stopping

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        step, turn = divmod(state.global_step, self.training.updates_per_step)
        if turn or step >= self.training.steps:
            return
        if self.stopping.is_set():
            control.should_save = control.should_training_stop = True
        elif step % self.training.checkpoint_every == 0:
            control.should_save = True

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        self.keep(state.global_step // self.training.updates_per_step, folder)
        shutil.rmtree(folder, ignore_errors=True)  # with several processes on a host, one of them removes it


class Updates:
    """The numbers of the remaining updates, in place of a data loader."""

    def __init__(self, training: Training, done: Callable[[], int]) -> None:
        self.training = training
        self.done = done

    def __len__(self) -> int:
        """Return the number of all updates of the training run: for the loop they are one epoch."""
        return self.training.steps * self.training.updates_per_step

    def __iter__(self) -> Iterator[dict[str, int]]:
        for update in range(self.done(), len(self)):
            yield {"update": update}
