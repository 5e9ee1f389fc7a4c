"""Keys and values of several conversations, one slot each.

Knows how far each slot is filled (`lengths`, the only counter), and how new positions of several
slots attend to what their own slot holds. On a CPU its memory is taken as slots are filled, on a
GPU all at once. Does not know whose slot it is or which tokens were in it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from model import pages
from model.config import DecoderConfig
from model.errors import ContextFullError
from model.pages import Pages


def cache_bytes(
    config: DecoderConfig, *, slots: int, capacity_tokens: int, dtype: torch.dtype
) -> int:
    """Returns what a cache takes when every slot is full; see `KVCache`."""
    return 2 * math.prod(_shape(config, slots, capacity_tokens)) * dtype.itemsize


def _shape(config: DecoderConfig, slots: int, capacity_tokens: int) -> tuple[int, ...]:
    return (
        config.num_hidden_layers,
        slots,
        config.num_key_value_heads,
        capacity_tokens,
        config.head_dim,
    )


class KVCache:
    """Storage for one decoder.

    Args:
        config: the decoder's figures.
        slots: how many conversations it holds.
        capacity_tokens: positions a slot can hold.
        dtype: of keys and values; the decoder's.
        device: the decoder's.
    """

    def __init__(
        self,
        config: DecoderConfig,
        *,
        slots: int,
        capacity_tokens: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        shape = _shape(config, slots, capacity_tokens)
        self._pages: tuple[Pages, ...] = ()
        if torch.device(device).type == "cpu" and pages.CAN_BE_HAD:
            self._pages = keys, values = Pages(shape, dtype), Pages(shape, dtype)
            self.k, self.v = keys.tensor, values.tensor
        else:
            self.k = torch.zeros(shape, dtype=dtype, device=device)
            self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.capacity_tokens = capacity_tokens
        self.lengths = [0] * slots

    @property
    def slots(self) -> int:
        """How many conversations it holds."""
        return len(self.lengths)

    def truncate(self, slot: int, length: int) -> None:
        """Forgets everything of `slot` from position `length` on."""
        assert 0 <= length <= self.lengths[slot], f"truncate to {length} of {self.lengths[slot]}"
        self.lengths[slot] = length

    def reset(self, slot: int) -> None:
        """Empties `slot`."""
        self.lengths[slot] = 0

    def release(self, slot: int) -> None:
        """Empties `slot` and gives its memory back, where that can be had again by filling it."""
        self.reset(slot)
        layers, slots, *rest = self.k.shape
        count = math.prod(rest)
        for part in self._pages:
            for layer in range(layers):
                part.give_back((layer * slots + slot) * count, count)

    def copy(self, source: int, target: int, length: int | None = None) -> None:
        """Makes `target` hold the first `length` positions of `source` (all of them by default)."""
        length = self.lengths[source] if length is None else length
        assert 0 <= length <= self.lengths[source], f"copy of {length} of {self.lengths[source]}"
        if source != target:
            self.k[:, target, :, :length] = self.k[:, source, :, :length]
            self.v[:, target, :, :length] = self.v[:, source, :, :length]
        self.lengths[target] = length

    def begin(self, slots: Sequence[int], counts: Sequence[int], width: int) -> "Append":
        """Opens an append of `counts[b]` positions to `slots[b]`.

        Args:
            slots: one for each row of the batch, all different.
            counts: how many of the row's `width` positions are real, from the left; 0 is allowed.
            width: T of the batch.

        Raises:
            ContextFullError: a slot has no room; no slot was touched.
        """
        assert len(set(slots)) == len(slots) == len(counts), f"slots {slots}, counts {counts}"
        rows = []
        for slot, count in zip(slots, counts, strict=True):
            assert 0 <= count <= width, f"{count} of {width} positions"
            start = self.lengths[slot]
            if start + count > self.capacity_tokens:
                raise ContextFullError(
                    wanted_tokens=start + count, capacity_tokens=self.capacity_tokens
                )
            rows.append(_Row(slot, start, start + count, _mask(start, count, self.k.device)))
        return Append(self, rows)


@dataclass(frozen=True, slots=True)
class _Row:
    """Where one row's new positions go."""

    slot: int
    start: int
    end: int
    mask: Tensor | None  # [count, end] bool, where neither "all" nor "causal" says it


def _mask(start: int, count: int, device: torch.device) -> Tensor | None:
    if start == 0 or count <= 1:
        return None
    return torch.ones(count, start + count, dtype=torch.bool, device=device).tril(start)


class Append:
    """One pass over new positions; an `Attend`. Nothing counts until `commit`.

    Each row attends to its own slot's filled prefix through views, so a row's result has neither
    the padding nor the length of its batch mates in it.
    """

    def __init__(self, cache: KVCache, rows: Sequence[_Row]) -> None:
        self._cache = cache
        self._rows = rows

    def __call__(self, layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """See `model.layers.Attend`; the result is 0 at padding."""
        if len(self._rows) == 1 and self._rows[0].end - self._rows[0].start == query.shape[2]:
            return self._attend_row(layer, self._rows[0], query, key, value)
        out = torch.zeros_like(query)
        for b, row in enumerate(self._rows):
            count = row.end - row.start
            if count:
                q, k, v = (x[b : b + 1, :, :count] for x in (query, key, value))
                out[b : b + 1, :, :count] = self._attend_row(layer, row, q, k, v)
        return out

    def commit(self) -> None:
        """Counts the new positions."""
        for row in self._rows:
            assert self._cache.lengths[row.slot] == row.start, "the slot changed during the pass"
            self._cache.lengths[row.slot] = row.end

    def _attend_row(
        self, layer: int, row: _Row, query: Tensor, key: Tensor, value: Tensor
    ) -> Tensor:
        keys = self._cache.k[layer, row.slot : row.slot + 1]  # [1, kv_heads, capacity, head_dim]
        values = self._cache.v[layer, row.slot : row.slot + 1]
        keys[:, :, row.start : row.end] = key
        values[:, :, row.start : row.end] = value
        keys, values = keys[:, :, : row.end], values[:, :, : row.end]
        if query.shape[2] == 1:
            # The queries that share a key head become its positions: no copy of keys per query
            # head.
            grouped = query.view(1, keys.shape[1], -1, query.shape[3])
            return F.scaled_dot_product_attention(grouped, keys, values).view_as(query)
        return F.scaled_dot_product_attention(
            query, keys, values, attn_mask=row.mask, is_causal=row.mask is None, enable_gqa=True
        )
