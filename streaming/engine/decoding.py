"""One more position of several conversations: the step that Thinker and Talker repeat the most.

Knows that it runs as captured CUDA graphs where there is a GPU and as the networks' own step
elsewhere. Does not know what is decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from model.cuda_graphs import GraphedDecode
from model.omni import OmniModel
from streaming.engine.memory import Memory

Step = Callable[[Tensor, Tensor, Sequence[int]], Tensor]


class Decoding:
    """Single steps of Thinker and Talker over shared batches.

    Args:
        model: the networks.
        memory: their caches.
        max_rows: conversations in one batch.
    """

    @torch.inference_mode()
    def __init__(self, model: OmniModel, memory: Memory, *, max_rows: int) -> None:
        self._model = model
        self._memory = memory
        self._device = memory.thinker.k.device
        self._thinker: Step = self._thinker_step
        self._talker: Step = self._talker_step
        if self._device.type == "cuda":
            rows = _row_counts(max_rows)
            width = model.config.thinker.text.hidden_size
            self._thinker = GraphedDecode(
                model.thinker.model, memory.thinker, width=width, row_counts=rows
            ).step
            self._talker = GraphedDecode(
                model.talker.decode, memory.talker, width=width, row_counts=rows
            ).step

    def thinker(self, embeds: Tensor, slots: Sequence[int]) -> Tensor:
        """Appends embeddings [B, D] -> hidden states [B, D]."""
        positions = self._memory.next_ids(self._memory.thinker, slots, 1)
        return self._thinker(embeds[:, None], positions, slots)[:, 0]

    def talker(self, inputs: Tensor, slots: Sequence[int]) -> Tensor:
        """Appends Talker inputs [B, D] -> logits [B, vocab]."""
        positions = self._memory.next_ids(self._memory.talker, slots, 1)
        return self._talker(inputs[:, None], positions, slots)[:, 0]

    def _thinker_step(self, embeds: Tensor, positions: Tensor, slots: Sequence[int]) -> Tensor:
        return self._model.thinker.step(embeds, positions, self._memory.thinker, slots)

    def _talker_step(self, inputs: Tensor, positions: Tensor, slots: Sequence[int]) -> Tensor:
        return self._model.talker.step(inputs, positions, self._memory.talker, slots)


def _row_counts(max_rows: int) -> list[int]:
    """Powers of two up to the one that holds `max_rows`."""
    counts = [1]
    while counts[-1] < max_rows:
        counts.append(2 * counts[-1])
    return counts
