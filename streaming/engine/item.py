"""One message of a conversation, as the pieces of the prompt that it is.

Knows its own length. Does not know where it stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from model.dictation import Sentence
from streaming.engine.messages.content import Role
from streaming.engine.pieces import Piece


@dataclass(slots=True)
class Item:
    """One message of the conversation; `speculative` pieces at its end may be taken back.

    A `forgotten` one was dropped from the prompt to make room, and only keeps its place. What was
    `said` in it is known here only where its sounds stand in the prompt as words, a sentence each.
    """

    item_id: str
    role: Role
    pieces: list[Piece] = field(default_factory=list)
    speculative: int = 0
    complete: bool = True
    forgotten: bool = False
    said: tuple[Sentence, ...] = ()
    _tokens: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._tokens = sum(map(len, self.pieces))

    def __len__(self) -> int:
        return self._tokens

    def replace(self, start: int, pieces: Sequence[Piece]) -> None:
        """Puts these in the place of its pieces from number `start` on."""
        self._tokens += sum(map(len, pieces)) - sum(map(len, self.pieces[start:]))
        self.pieces[start:] = pieces

    def copy(self, item_id: str | None = None) -> Item:
        """Returns a complete item with the same pieces, which never change."""
        return Item(item_id or self.item_id, self.role, list(self.pieces), said=self.said)
