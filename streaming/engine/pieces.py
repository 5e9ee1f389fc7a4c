"""Runs of positions that a conversation is put together from.

Knows which tokens stand at the positions, what an encoder made of them, and where TMRoPE places
them. Does not know items or caches. Does not know torch: tensors are carried and cut, not read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of positions: text tokens, or what an encoder made, with its placeholder ids.

    Text and plain sound take one TMRoPE id a position, on all three axes. Pictures and the sound of
    a video do not: their `places` say where they are.

    Args:
        ids: [n] token ids.
        embeds: [n, D] what the encoder made of a block or picture; None for text.
        places: [3, n] TMRoPE ids, counted from the one that a text token in this place would have;
            None counts up by one.
        span: how far behind that the next piece begins, where `places` are given.
    """

    ids: tuple[int, ...]
    embeds: Tensor | None = None
    places: Tensor | None = None
    span: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def advance(self) -> int:
        """How many TMRoPE ids further the next piece begins; a video's may go back."""
        return len(self.ids) if self.places is None else self.span

    def part(self, start: int, stop: int) -> Piece:
        """Returns the positions `start` to `stop` of this piece; `places` count as before."""
        embeds = None if self.embeds is None else self.embeds[start:stop]
        places = None if self.places is None else self.places[:, start:stop]
        return Piece(self.ids[start:stop], embeds, places, self.span)


@dataclass(frozen=True, slots=True)
class Placed:
    """Some or all of a piece, and the TMRoPE id that its places count from."""

    piece: Piece
    first_id: int
