"""Decode steps with static shapes, captured as CUDA graphs; never run on a GPU yet.

Knows how to make one decode position of several conversations the same kernels every time: fixed
row counts, a spare slot for rows that nobody uses, attention over the whole capacity under a mask.
Without CUDA the same static step runs uncaptured; that much is tested. Does not know what is
decoded.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from model.errors import ContextFullError
from model.kv_cache import KVCache
from model.layers import Attend

Body = Callable[[Tensor, Tensor, Attend], Tensor]
"""(inputs [B, 1, D], position ids [3, B, 1], attend) -> [B, 1, out]: a network's decode step."""


class StaticAttend:
    """An `Attend` for one new position a row whose slots and lengths are tensors.

    Args:
        cache: its last slot is the spare one that unused rows write to.
        rows: B of every step.
    """

    def __init__(self, cache: KVCache, rows: int) -> None:
        device = cache.k.device
        self._cache = cache
        self.slots = torch.full((rows,), cache.slots - 1, device=device)
        self.starts = torch.zeros(rows, dtype=torch.int64, device=device)
        self._places = torch.arange(cache.capacity_tokens, device=device)

    def __call__(self, layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """See `model.layers.Attend`; T is 1."""
        keys, values = self._cache.k[layer], self._cache.v[layer]
        keys[self.slots, :, self.starts] = key[:, :, 0]
        values[self.slots, :, self.starts] = value[:, :, 0]
        mask = (self._places <= self.starts[:, None])[:, None, None]  # [B, 1, 1, capacity]
        grouped = query.reshape(query.shape[0], keys.shape[1], -1, query.shape[3])
        out = F.scaled_dot_product_attention(
            grouped, keys[self.slots], values[self.slots], attn_mask=mask
        )
        return out.reshape(query.shape)


class StaticStep:
    """A decode step for a fixed number of rows; captured on CUDA, eager elsewhere.

    Args:
        body: what to run.
        cache: the conversations' pasts.
        rows: B of every step.
        width: D of the inputs.
    """

    def __init__(self, body: Body, cache: KVCache, *, rows: int, width: int) -> None:
        device, dtype = cache.k.device, cache.k.dtype
        self._body = body
        self._attend = StaticAttend(cache, rows)
        self._inputs = torch.zeros(rows, 1, width, dtype=dtype, device=device)
        self._positions = torch.zeros(3, rows, 1, dtype=torch.int64, device=device)
        self._spare = cache.slots - 1
        self._rows = rows
        self._replay: Callable[[], Tensor] = self._run
        if device.type == "cuda":
            self._replay = _captured(self._run)

    def __call__(
        self, inputs: Tensor, position_ids: Tensor, slots: Sequence[int], starts: Sequence[int]
    ) -> Tensor:
        """Runs the first `len(slots)` rows; the others work for the spare slot.

        Returns:
            [len(slots), 1, out]; overwritten by the next call.
        """
        used = len(slots)
        idle = self._rows - used
        self._inputs[:used] = inputs
        self._positions[:, :used] = position_ids
        self._attend.slots.copy_(torch.tensor([*slots, *[self._spare] * idle]))
        self._attend.starts.copy_(torch.tensor([*starts, *[0] * idle]))
        return self._replay()[:used]

    def _run(self) -> Tensor:
        return self._body(self._inputs, self._positions, self._attend)


class GraphedDecode:
    """Decode steps for any number of rows up to the largest of `row_counts`.

    Args:
        body: what to run.
        cache: the conversations' pasts; its last slot is given up as the spare one.
        width: D of the inputs.
        row_counts: batch sizes to prepare; a step takes the smallest that holds it.
    """

    def __init__(
        self, body: Body, cache: KVCache, *, width: int, row_counts: Sequence[int] = (1, 2, 4, 8)
    ) -> None:
        self._cache = cache
        self._steps = {
            rows: StaticStep(body, cache, rows=rows, width=width) for rows in sorted(row_counts)
        }

    def step(self, inputs: Tensor, position_ids: Tensor, slots: Sequence[int]) -> Tensor:
        """Appends one position to each slot.

        Args:
            inputs: [B, 1, D].
            position_ids: [3, B, 1] int64.
            slots: one for each row, all different, none the spare one.

        Returns:
            [B, 1, out]; overwritten by the next step.

        Raises:
            ContextFullError: a slot has no room; no slot has changed.
        """
        assert self._cache.slots - 1 not in slots, "the last slot is the spare one"
        starts = [self._cache.lengths[slot] for slot in slots]
        if max(starts) >= self._cache.capacity_tokens:
            raise ContextFullError(
                wanted_tokens=max(starts) + 1, capacity_tokens=self._cache.capacity_tokens
            )
        rows = min(count for count in self._steps if count >= len(slots))
        out = self._steps[rows](inputs, position_ids, slots, starts)
        for slot in slots:
            self._cache.lengths[slot] += 1
        return out


def _captured(run: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """Records `run` after a warm-up on a side stream, as torch's capture rules ask."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = run()

    def replay() -> Tensor:
        graph.replay()
        return out

    return replay
