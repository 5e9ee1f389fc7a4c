"""The KV caches of Thinker and Talker, with one slot of each for every conversation.

Knows lengths and how the two keep in step: outside a reply the Talker's cache and the vectors that
wait for it (`untold`) are as long as the Thinker's. Knows how far a conversation's TMRoPE ids are
ahead of its positions, and not why.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model.config import DecoderConfig
from model.kv_cache import KVCache, cache_bytes
from model.omni import OmniModel
from streaming.errors import RefusedError

# A pass over a batch changes caches and nothing else, so that it can be run again; what it found is
# taken over by one of these for each conversation.
Finish = Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Where a slot stood before a pass.

    `untold` is the list itself, which grows and is cut in place: its first `untold_tokens`.
    """

    slot: int
    thinker_tokens: int
    talker_tokens: int
    untold: list[Tensor]
    untold_tokens: int


class Memory:
    """Both caches and who may use which slot.

    Args:
        model: for shapes, dtype and device.
        slots: conversations at the same time.
        capacity_tokens: Thinker positions of one conversation.
        speech_codes: Talker positions of one reply behind its prompt.
    """

    def __init__(
        self, model: OmniModel, *, slots: int, capacity_tokens: int, speech_codes: int
    ) -> None:
        self.capacity_tokens = capacity_tokens
        # The slot behind the conversations' is for side passes (transcripts); the last one is left
        # to the unused rows of captured steps (`model.cuda_graphs`).
        self.scratch = slots
        self.thinker, self.talker = (
            KVCache(config, **figures, dtype=model.dtype, device=model.device)
            for config, figures in _figures(model, slots, capacity_tokens, speech_codes)
        )
        # The one that was given back last is taken next: what it took then is enough again.
        self._free = list(reversed(range(slots)))
        self._ahead = [0] * (slots + 1)
        self._untold: list[list[Tensor]] = [[] for _ in range(slots)]

    @staticmethod
    def size_bytes(model: OmniModel, *, slots: int, capacity_tokens: int, speech_codes: int) -> int:
        """Returns what both caches take when every slot is full; see the class."""
        every = _figures(model, slots, capacity_tokens, speech_codes)
        return sum(cache_bytes(config, **figures, dtype=model.dtype) for config, figures in every)

    def take(self) -> int:
        """Returns a slot that nobody has, empty.

        Raises:
            RefusedError: All are taken; names how many there are.
        """
        if not self._free:
            raise RefusedError(f"all {self.scratch} conversations of the engine are open")
        return self._free.pop()

    def give_back(self, slot: int) -> None:
        """Frees a slot, forgets what was in it, and gives its memory back where that can be."""
        assert slot not in self._free, f"slot {slot} was free"
        self.reset(slot)
        self.thinker.release(slot)
        self.talker.release(slot)
        self._free.append(slot)

    def length(self, slot: int) -> int:
        """Returns how many positions of the conversation the Thinker holds."""
        return self.thinker.lengths[slot]

    def lead(self, slot: int, ahead: int) -> None:
        """Notes the offset between the slot's next TMRoPE id and its next cache position.

        It stays so for as long as nothing but text is appended.
        """
        self._ahead[slot] = ahead

    def next_ids(self, cache: KVCache, slots: Sequence[int], width: int) -> Tensor:
        """TMRoPE ids [3, B, width] of the next positions of either cache, where they are text."""
        return positions_from(
            [cache.lengths[slot] + self._ahead[slot] for slot in slots], width, cache.k.device
        )

    def reset(self, slot: int) -> None:
        """Forgets everything in a slot, whatever state it is in."""
        self.thinker.reset(slot)
        self.talker.reset(slot)
        self._untold[slot] = []
        self._ahead[slot] = 0

    def cut(self, slot: int, position: int) -> None:
        """Forgets everything from `position` on; a shorter past stays as it is.

        Speech that stands behind the Talker's prompt stays too, unless the prompt itself is cut.
        """
        told = self.length(slot) - len(self._untold[slot])
        if position < told:
            self.talker.truncate(slot, position)
        self.thinker.truncate(slot, min(self.length(slot), position))
        del self._untold[slot][max(0, position - told) :]

    def tell_later(self, slot: int, vector: Tensor) -> None:
        """Keeps the Thinker vector [D] of a reply's token until the reply has become past.

        While the reply is spoken the Talker's cache holds its codes where this vector will be.
        """
        self._untold[slot].append(vector)

    def forget_speech(self, slot: int) -> None:
        """Takes a reply's codes out of the Talker's cache: its prompt is again what it holds."""
        self.talker.truncate(slot, self.length(slot) - len(self._untold[slot]))

    def untold(self, slot: int) -> list[Tensor]:
        """Returns the Thinker vectors that are not yet in the Talker's cache, in order."""
        return self._untold[slot]

    def told(self, slot: int) -> None:
        """Notes that all of the Thinker's vectors are in the Talker's cache."""
        self._untold[slot] = []
        assert self.talker.lengths[slot] == self.length(slot), "the Talker is out of step"

    def mark(self, slots: Sequence[int]) -> list[Mark]:
        """Returns where these slots stand, for `rewind`."""
        return [
            Mark(
                slot=slot,
                thinker_tokens=self.length(slot),
                talker_tokens=self.talker.lengths[slot],
                untold=self._untold[slot],
                untold_tokens=len(self._untold[slot]),
            )
            for slot in slots
        ]

    def rewind(self, marks: Sequence[Mark]) -> None:
        """Takes back what a pass that failed, or its finish, appended; what it cut stays cut."""
        for mark in marks:
            slot = mark.slot
            self.thinker.truncate(slot, min(self.length(slot), mark.thinker_tokens))
            self.talker.truncate(slot, min(self.talker.lengths[slot], mark.talker_tokens))
            self._untold[slot] = mark.untold
            del self._untold[slot][mark.untold_tokens :]


def _figures(
    model: OmniModel, slots: int, capacity_tokens: int, speech_codes: int
) -> tuple[tuple[DecoderConfig, dict[str, int]], ...]:
    """The decoder and the size of Thinker's and Talker's cache."""
    speaking = capacity_tokens + speech_codes
    return (
        (model.config.thinker.text, {"slots": slots + 2, "capacity_tokens": capacity_tokens}),
        (model.config.talker.decoder, {"slots": slots + 1, "capacity_tokens": speaking}),
    )


def pad_rows(rows: list[Tensor]) -> Tensor:
    """Stacks rows [n_b, D] of different lengths -> [B, max n, D], zeros on the right."""
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)


def positions_from(starts: list[int], width: int, device: torch.device) -> Tensor:
    """Position ids [3, B, width] that count from `starts` on all three axes."""
    counting = torch.arange(width, device=device)
    first = torch.tensor(starts, device=device)
    return (first[:, None] + counting).expand(3, -1, -1)
