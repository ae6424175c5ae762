"""All that a trainer is given: what to train, on what, and whom to tell."""

import copy
import threading
from dataclasses import dataclass, field
from pathlib import Path

from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from effreason.choices import FullWeights, NoKl
from effreason.specs import TrainSpec
from effreason.training.boundaries import Keep
from effreason.training.rollouts import Collector
from effreason.training.world import World


@dataclass(frozen=True)
class Setting:
    """The parts of a training run. Made by `run.fine_tune` or a test; read by the trainers."""

    model: PreTrainedModel | PeftModel
    """The model that is trained in place."""
    tokenizer: PreTrainedTokenizerBase
    spec: TrainSpec
    collector: Collector
    folder: Path
    """The folder for checkpoints before they are kept."""
    keep: Keep
    stopping: threading.Event = field(default_factory=threading.Event)
    """An event that is set when a checkpoint should be taken and the training left."""
    accuracies: tuple[float, ...] = ()
    """The accuracies of the batches of the steps that are already done."""
    report_to: tuple[str, ...] = ()
    """Trackers that get every step's metrics, by their names in transformers."""

    @property
    def world(self) -> World:
        return self.collector.world

    def reference(self) -> PreTrainedModel | None:
        """Return a frozen copy of the model as it is; None if no KL is wanted, or if adapters can be switched off."""
        training = self.spec.training
        if isinstance(training.kl, NoKl) or not isinstance(training.weights, FullWeights):
            return None
        return frozen_copy(self.model)


def frozen_copy(model: PreTrainedModel) -> PreTrainedModel:
    """Return the same weights in memory of their own, which no training changes."""
    return copy.deepcopy(model).eval().requires_grad_(False)
