"""What a worker of vLLM can do besides, for us: take weights, all of them.

Named by `worker_extension_cls` (`--worker-extension-cls` of a server), so it runs wherever vLLM runs the model.
vLLM 0.32's own `reload_weights` passes over an output layer that is tied to the embedding. On a CPU that layer keeps a
copy in a layout of its own, and would go on answering with the old one.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from vllm.v1.worker.worker_base import WorkerBase


class TakesWeights:
    """Mixed into the worker's class by vLLM."""

    def take_weights(
        self: "WorkerBase", weights: Iterable[tuple[str, torch.Tensor]] | None = None, folder: str | None = None
    ) -> None:
        """Replace the weights by those given, or by those in a folder, and lay out again what has a layout."""
        from vllm.model_executor.layers.vocab_parallel_embedding import ParallelLMHead

        self.reload_weights(weights_iterator=weights, weights_path=folder)
        for layer in self.get_model().modules():
            if isinstance(layer, ParallelLMHead):
                layer.quant_method.process_weights_after_loading(layer)
