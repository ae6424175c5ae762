"""What a worker of vLLM can do besides, for us: take weights, all of them, and know whose they are.

Named by `worker_extension_cls` (`--worker-extension-cls` of a server), so it runs wherever vLLM runs the model.
vLLM 0.32's own `reload_weights` passes over an output layer that is tied to the embedding. On a CPU that layer keeps a
copy in a layout of its own, and would go on answering with the old one.

A server is held by one step at a time, under a name that no other step ever has; `effreason.generation.vllm_turn` is
the step's side. What is here knows no clock: all workers of a server get the same calls in the same order, so all of
them have the same holder.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, TypedDict

import torch

if TYPE_CHECKING:
    from vllm.v1.worker.worker_base import WorkerBase


class Held(TypedDict):
    """The holder of a worker, and how often the holder has renewed its claim. Made here; read by `vllm_turn`."""

    holder: str | None
    beats: int


class TakesWeights:
    """Methods that vLLM mixes into the worker's class."""

    weights_held: Held = {"holder": None, "beats": 0}

    def claim_weights(self, holder: str, instead_of: Held | None) -> Held:
        """Be held by `holder`, unless somebody else holds it and has renewed the claim since `instead_of` was read."""
        if self.weights_held["holder"] is None or self.weights_held == instead_of:
            self.weights_held = Held(holder=holder, beats=0)
        return self.weights_held

    def keep_weights(self, holder: str) -> Held:
        """Renew the claim of `holder`, if it is the one."""
        if self.weights_held["holder"] == holder:
            self.weights_held = Held(holder=holder, beats=self.weights_held["beats"] + 1)
        return self.weights_held

    def leave_weights(self, holder: str) -> Held:
        """End the claim of `holder`, if it is the one."""
        if self.weights_held["holder"] == holder:
            self.weights_held = Held(holder=None, beats=0)
        return self.weights_held

    def take_weights(
        self: "WorkerBase",
        weights: Iterable[tuple[str, torch.Tensor]] | None = None,
        folder: str | None = None,
        holder: str | None = None,
    ) -> Held:
        """Replace the weights by those given, or by those in a folder; but not if another than `holder` holds it."""
        if self.weights_held["holder"] == holder:
            self.reload_weights(weights_iterator=weights, weights_path=folder)
            self.lay_out_weights()
        held: Held = self.weights_held
        return held

    def lay_out_weights(self: "WorkerBase") -> None:
        """Rebuild the layout of weights that have a layout of their own."""
        from vllm.model_executor.layers.vocab_parallel_embedding import ParallelLMHead

        for layer in self.get_model().modules():
            if isinstance(layer, ParallelLMHead):
                layer.quant_method.process_weights_after_loading(layer)
