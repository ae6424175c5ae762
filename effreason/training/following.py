"""An engine with weights of its own, made to sample from the policy as it stands."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from transformers import PreTrainedModel

from effreason.generation import Generator, Limits, OnCompletion, Request
from effreason.records import Completion


class Engine(Generator, Protocol):
    """A generator that holds a copy of the weights."""

    def load(self, weights: Iterable[tuple[str, torch.Tensor]]) -> None:
        """Replace the weights, given by their names in transformers."""
        ...


@dataclass(frozen=True)
class Following:
    """Hands the policy's weights to the engine before every call, so that it samples from what has been learned."""

    model: PreTrainedModel | PeftModel
    engine: Engine

    def generate(
        self, requests: Sequence[Request], limits: Limits, on_completion: OnCompletion | None = None
    ) -> list[list[Completion]]:
        with torch.no_grad():
            self.engine.load(plain_weights(self.model))
        return self.engine.generate(requests, limits, on_completion)


def plain_weights(model: PreTrainedModel | PeftModel) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the weights by their names in transformers; adapters are added to what they adapt, which stays as it is."""
    plain = model.get_base_model() if isinstance(model, PeftModel) else model
    for name, weight in plain.named_parameters():
        owner, _, kind = name.rpartition(".")
        layer = plain.get_submodule(owner.removesuffix(".base_layer"))
        if not isinstance(layer, BaseTunerLayer):
            if "lora_" not in name:
                yield name, weight
        elif kind == "weight":
            yield f"{owner.removesuffix('.base_layer')}.weight", _adapted(layer, weight)
        else:
            yield name.replace(".base_layer.", "."), weight


def _adapted(layer: BaseTunerLayer, weight: torch.Tensor) -> torch.Tensor:
    added: torch.Tensor = sum(layer.get_delta_weight(adapter) for adapter in layer.active_adapters)
    return weight + added.to(weight.dtype)
