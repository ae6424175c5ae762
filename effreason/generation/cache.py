"""Keys and values of many rows in memory that is laid out once: it never grows by copying, and rows can leave.

Each row keeps its tokens from place 0 on, without padding, so rows of different lengths stand side by side; what lies
beyond a row's length is masked. A decoding step writes at each row's own place and attends to a view. Rows that leave
are replaced by the last ones, so that the rows in use are always the first `count`.
"""

from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin, DynamicCache

CLEARED_AHEAD = 32


class Rows(Cache):  # type: ignore[misc]  # transformers is not followed by mypy
    """The cache of up to `capacity` rows of up to `length` tokens; layers are laid out as they are first filled."""

    def __init__(self, capacity: int, length: int) -> None:
        super().__init__(layers=[])
        self.capacity = capacity
        self.length = length
        self.count = 0
        self.cleared = 0
        """Places before this one hold finite numbers in every row that is in use."""
        self.places = torch.empty(0, dtype=torch.long)
        """The position where the next token of each row is written: (count,)."""
        self.reach = 0
        """The longest row's length, once the next token is written."""

    def place(self, places: torch.Tensor) -> None:
        """Set where each row writes next."""
        self.places = places
        self._extend(int(places.max()) + 1)
        self.order = torch.arange(self.count, device=places.device)

    def mask(self, dtype: torch.dtype, window: int | None = None) -> torch.Tensor:
        """Return what is added to attention scores: 0 for a row's tokens (the last `window` of them), else the least
        number.

        Shape (count, reach).
        """
        steps = torch.arange(self.reach, device=self.places.device)
        outside = steps > self.places[:, None]
        if window is not None and self.reach > window:
            outside |= steps <= self.places[:, None] - window
        return torch.zeros(outside.shape, dtype=dtype, device=outside.device).masked_fill_(
            outside, torch.finfo(dtype).min
        )

    def admit(self, prefilled: DynamicCache, copies: torch.Tensor) -> None:
        """Append one row for each entry of `copies`, a copy of that row of a prefilled batch."""
        if not self.layers:
            self.layers.extend(Layer(self, read.keys, read.values) for read in prefilled.layers)
        length = prefilled.get_seq_length()
        self._extend(max(self.reach, length))
        rows = slice(self.count, self.count + len(copies))
        for layer, read in zip(self.layers, prefilled.layers, strict=True):
            for kept, states in ((layer.keys, read.keys), (layer.values, read.values)):
                kept[rows, :, :length] = states[copies]
                kept[rows, :, length : self.cleared] = 0
        self.count = rows.stop

    def shrink(self, count: int, sources: torch.Tensor, targets: torch.Tensor) -> None:
        """Keep the first `count` rows, after copying the rows `sources` over `targets`, which have left."""
        reach = self.reach
        for layer in self.layers:
            layer.keys[targets, :, :reach] = layer.keys[sources, :, :reach]
            layer.values[targets, :, :reach] = layer.values[sources, :, :reach]
        self.count = count

    def _extend(self, reach: int) -> None:
        """Let rows be `reach` tokens long, and clear what comes into reach of those in use.

        What is masked has a weight of 0, which would still turn what memory happens to hold into NaN. Clearing all of
        it at once would touch memory that most rows never grow into.
        """
        self.reach = reach
        if reach > self.cleared:
            places = slice(self.cleared, min(self.length, reach + CLEARED_AHEAD))
            for layer in self.layers:
                layer.keys[: self.count, :, places] = 0
                layer.values[: self.count, :, places] = 0
            self.cleared = places.stop

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return self.reach


class Layer(CacheLayerMixin):  # type: ignore[misc]
    """The keys and values of one layer: (capacity, key-value heads, length, head size)."""

    def __init__(self, rows: Rows, keys: torch.Tensor, values: torch.Tensor) -> None:
        super().__init__()
        self.rows = rows
        self.keys = keys.new_empty(rows.capacity, keys.shape[1], rows.length, keys.shape[3])
        self.values = values.new_empty(rows.capacity, values.shape[1], rows.length, values.shape[3])
        self.is_initialized = True

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any) -> Any:
        """Write one token per row, (count, key-value heads, 1, head size); return views of all rows to the longest."""
        rows = self.rows
        self.keys[rows.order, :, rows.places] = key_states[:, :, 0]
        self.values[rows.order, :, rows.places] = value_states[:, :, 0]
        return self.keys[: rows.count, :, : rows.reach], self.values[: rows.count, :, : rows.reach]

    def write(
        self, places: torch.Tensor, keys: torch.Tensor, values: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write as `update` does, from (count, key-value heads, size) at places that count through rows, heads and
        length.

        Returns views of shape (count · key-value heads, reach, size), as batched products take them.
        """
        rows, size = self.rows, keys.shape[-1]
        self.keys.view(-1, size).index_copy_(0, places, keys.reshape(-1, size))
        self.values.view(-1, size).index_copy_(0, places, values.reshape(-1, size))
        return (
            self.keys[: rows.count].view(-1, rows.length, size)[:, : rows.reach],
            self.values[: rows.count].view(-1, rows.length, size)[:, : rows.reach],
        )

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Do nothing: the layer was laid out when it was made."""

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.rows.reach, 0

    def get_seq_length(self) -> int:
        return self.rows.reach

    def get_max_length(self) -> int:
        return self.rows.length
