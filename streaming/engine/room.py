"""How much of a context is taken, what is kept free in it, and what is forgotten for more.

Knows lengths, and which items may go. Does not know the prompt: the timeline changes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from streaming.engine.item import Item
from streaming.errors import RefusedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Truncation:
    """What to do when the prompt has no room: forget the oldest items.

    Args:
        retention_ratio: how much of what items may take is left full, 0 to 1.
        items_tokens: what items may take; None for all that the context leaves.
    """

    retention_ratio: float
    items_tokens: int | None = None


@dataclass(slots=True, kw_only=True)
class Room:
    """The room of one conversation.

    Args:
        capacity_tokens: positions that there can be.
        opening_tokens: what opens an answer; it always fits.
        system_tokens: what the system message takes.
        items_tokens: what all items together take.
        reserved_tokens: what the reply under way will need at its end, and nobody else is given.
        truncation: what makes room where there is none; None, and what does not fit is refused.
        answering: a reply stands on the prompt, so that nothing of it may be forgotten.
    """

    capacity_tokens: int
    opening_tokens: int
    system_tokens: int = 0
    items_tokens: int = 0
    reserved_tokens: int = 0
    truncation: Truncation | None = None
    answering: bool = False

    @property
    def taken(self) -> int:
        """Positions of the prompt, without an answer's opening."""
        return self.system_tokens + self.items_tokens

    @property
    def free(self) -> int:
        """How many more positions there can be."""
        return self.capacity_tokens - self.taken - self.opening_tokens - self.reserved_tokens

    def attainable(self, items: Sequence[Item]) -> int:
        """How many there can be once all of these items are forgotten that may be."""
        if self.truncation is None or self.answering:
            return self.free
        return self.free + sum(map(len, _whole(items)[:-1]))

    def begin_answer(self) -> None:
        """A reply stands on the prompt from now on."""
        self.answering = True

    def end_answer(self) -> None:
        """It does no more, and what was reserved for its end may be taken."""
        self.answering, self.reserved_tokens = False, 0

    def check(self, tokens: int) -> None:
        """Checks that so many more fit.

        Raises:
            RefusedError: They do not; names the capacity.
        """
        if tokens > self.free:
            raise RefusedError(
                f"{tokens} more tokens do not fit: the conversation has {self.taken} and its "
                f"context holds {self.capacity_tokens} (context_tokens)"
            )

    def to_forget(self, tokens: int, items: Sequence[Item], keep: Item | None) -> list[Item]:
        """Chooses which items to forget for `tokens` more, the oldest first; none where all fits.

        The last complete item stays, for it is what is answered, and so does `keep`.
        """
        truncation = self.truncation
        if truncation is None or self.answering:
            return []
        held = self.items_tokens
        limit = held + self.free
        if truncation.items_tokens is not None:
            limit = min(limit, truncation.items_tokens)
        if held + tokens <= limit:
            return []
        chosen: list[Item] = []
        for item in _whole(items)[:-1]:
            if held + tokens <= limit * truncation.retention_ratio:
                break
            if item is not keep:
                chosen.append(item)
                held -= len(item)
        return chosen


def _whole(items: Sequence[Item]) -> list[Item]:
    return [item for item in items if item.complete and len(item)]
