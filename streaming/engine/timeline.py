"""A conversation as the run of positions that the KV cache should hold.

Knows items, their pieces, and from which position on an edit changes the prompt. Does not know the
cache: it holds a prefix of this run, its own lengths say how long, and every edit here returns the
position back to which it must be cut. Does not know torch: encoder vectors are carried, not read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from streaming.engine.messages.content import Role
from streaming.engine.pieces import Piece, Placed
from streaming.errors import DuplicateItemError, RefusedError, UnknownItemError

FRONT = "root"


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
    said: tuple[str, ...] = ()

    def __len__(self) -> int:
        return sum(map(len, self.pieces))

    def copy(self, item_id: str | None = None) -> Item:
        """Returns a complete item with the same pieces, which never change."""
        return Item(item_id or self.item_id, self.role, list(self.pieces), said=self.said)


@dataclass(frozen=True, slots=True, kw_only=True)
class Truncation:
    """What to do when the prompt has no room: forget the oldest items.

    Args:
        retention_ratio: how much of what items may take is left full, 0 to 1.
        items_tokens: what items may take; None for all that the context leaves.
    """

    retention_ratio: float
    items_tokens: int | None = None


class Timeline:
    """The conversation's items in order, behind the system message, before an answer's opening.

    Args:
        system: the system message.
        opening: what opens the assistant's turn; wanted at the end while an answer is expected, so
            that it is in the cache before anybody asks.
        capacity_tokens: positions that there can be.
        forgot: called each time that oldest items were forgotten.

    Attributes:
        truncation: what makes room where there is none; None, and what does not fit is refused.
        answering: a reply stands on the prompt, so that nothing of it may be forgotten.
    """

    def __init__(
        self,
        system: Piece,
        opening: Piece,
        *,
        capacity_tokens: int,
        forgot: Callable[[], None] = lambda: None,
    ) -> None:
        self._forgot = forgot
        self._opening = opening
        self._capacity_tokens = capacity_tokens
        self._system = Piece(())
        self._items: list[Item] = []
        self._expects_answer = False
        self.truncation: Truncation | None = None
        self.answering = False
        self.set_system(system)

    def __len__(self) -> int:
        return self._end + (len(self._opening) if self._expects_answer else 0)

    @property
    def settled(self) -> int:
        """How far the prompt is known: up to the end of the first item that still grows.

        An item whose speculative end is there counts as known; that is what it is there for.
        """
        for item in self._items:
            if not item.complete and not item.speculative:
                return self.start_of(item) + len(item)
        return len(self)

    @property
    def room(self) -> int:
        """How many more positions there can be, besides an answer's opening."""
        return self._capacity_tokens - self._end - len(self._opening)

    @property
    def attainable_room(self) -> int:
        """How much room there can be, once everything is forgotten that may be."""
        if self.truncation is None or self.answering:
            return self.room
        whole = [item for item in self._items if item.complete and len(item)]
        return self.room + sum(map(len, whole[:-1]))

    @property
    def _end(self) -> int:
        return len(self._system) + sum(map(len, self._items))

    def item(self, item_id: str) -> Item:
        """Returns an item.

        Raises:
            UnknownItemError: It is not in this conversation.
        """
        for item in self._items:
            if item.item_id == item_id:
                return item
        raise UnknownItemError(f"item {item_id!r} is not in this conversation")

    def complete_items(self) -> list[Item]:
        """Returns copies of the items that are whole, in order."""
        return [item.copy() for item in self._items if item.complete]

    def __contains__(self, item_id: str) -> bool:
        return any(item.item_id == item_id for item in self._items)

    def start_of(self, item: Item) -> int:
        """Returns the position of the item's first token."""
        before = self._items[: self._items.index(item)]
        return len(self._system) + sum(map(len, before))

    def is_behind(self, item: Item, previous_item_id: str | None) -> bool:
        """Tells whether what is put behind `previous_item_id` comes behind `item`."""
        if previous_item_id is None:
            return True
        if previous_item_id == FRONT:
            return False
        previous = self._items.index(self.item(previous_item_id))
        return previous >= self._items.index(item)

    def ids(self) -> set[int]:
        """Returns every token that stands anywhere in the prompt."""
        return {token for piece in self._pieces() for token in piece.ids}

    def slice(self, start: int, stop: int) -> list[Piece]:
        """Returns what stands at the positions `start` to `stop`."""
        return [placed.piece for placed in self.placed(start, stop)]

    def placed(self, start: int, stop: int) -> list[Placed]:
        """Returns the same with where TMRoPE places it."""
        found: list[Placed] = []
        position = first_id = 0
        for piece in self._pieces():
            low, high = max(start - position, 0), min(stop - position, len(piece))
            if low < high:
                counted = low if piece.places is None else 0
                found.append(Placed(piece.part(low, high), first_id + counted))
            position += len(piece)
            first_id += piece.advance
        return found

    def ahead(self, position: int) -> int:
        """Returns how much higher than `position` the TMRoPE id of a text token there is."""
        found = passed = 0
        for piece in self._pieces():
            passed += len(piece)
            if passed > position:
                break
            found += piece.advance - len(piece)
        return found

    # Edits. Each returns the position up to which the prompt is as it was, and raises RefusedError,
    # before it changes anything, when the prompt would outgrow its capacity.

    def set_system(self, system: Piece) -> int:
        """Replaces the system message."""
        self._check_room(len(system) - len(self._system))
        self._system = system
        return 0

    def expect_answer(self, to: Item) -> int:
        """Wants the opening of the assistant's turn at the end, if that is where `to` stands."""
        self._expects_answer = self._items[-1] is to
        return self._end

    def insert(self, item: Item, previous_item_id: str | None = None) -> int:
        """Puts an item behind another, at the front (`FRONT`), or at the end (None).

        Raises:
            DuplicateItemError: The conversation holds an item of this id.
            UnknownItemError: It holds none of the previous id.
        """
        if item.item_id in self:
            raise DuplicateItemError(f"item {item.item_id!r} is in this conversation already")
        if previous_item_id is None:
            index = len(self._items)
        elif previous_item_id == FRONT:
            index = 0
        else:
            index = self._items.index(self.item(previous_item_id)) + 1
        cut = self.make_room(len(item))
        self._items.insert(index, item)
        self._expects_answer = False
        return min(cut, self.start_of(item))

    def remove(self, item_id: str) -> int:
        """Takes an item out."""
        item = self.item(item_id)
        start = self.start_of(item)
        self._items.remove(item)
        return start

    def extend(self, item: Item, pieces: Sequence[Piece], *, speculative: bool = False) -> int:
        """Adds pieces to an item; those that come behind speculative ones replace them."""
        cut = self.make_room(sum(map(len, pieces)), keep=item)
        cut = min(cut, self.retract(item))
        item.pieces.extend(pieces)
        item.speculative = len(pieces) if speculative else 0
        return cut

    def retract(self, item: Item) -> int:
        """Takes the speculative pieces of an item back."""
        if item.speculative:
            del item.pieces[-item.speculative :]
            item.speculative = 0
            self._expects_answer = False
        return self.start_of(item) + len(item)

    def swap_last(self, item: Item, piece: Piece) -> int:
        """Replaces the last piece of an item that grows."""
        assert not item.speculative, "what is taken back is not swapped"
        last = item.pieces[-1]
        self._check_room(len(piece) - len(last))
        cut = self.start_of(item) + len(item) - len(last)
        item.pieces[-1] = piece
        return cut

    def rewrite(self, item: Item, pieces: Sequence[Piece]) -> int:
        """Replaces a text item's content; what the two have in common stays in the cache."""
        assert all(piece.embeds is None for piece in (*item.pieces, *pieces)), "text items only"
        start = self.start_of(item)
        old = [token for piece in item.pieces for token in piece.ids]
        new = [token for piece in pieces for token in piece.ids]
        same = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), None)
        item.pieces = list(pieces)
        return start + (min(len(old), len(new)) if same is None else same)

    def begin_answer(self, item_id: str) -> Item:
        """Turns the expected answer's opening into an item at the end that grows.

        Raises:
            DuplicateItemError: The conversation holds an item of this id.
        """
        item = Item(item_id=item_id, role="assistant", pieces=[self._opening], complete=False)
        self.insert(item)
        return item

    def make_room(self, tokens: int, *, keep: Item | None = None, must: bool = True) -> int:
        """Forgets the oldest items if these many tokens would not fit otherwise.

        The last complete item stays: it is what is answered.

        Args:
            tokens: what is to be added.
            keep: another item that stays.
            must: raise RefusedError if it does not fit even so; else it is as much as there can be.
        """
        truncation = self.truncation
        if truncation is None or self.answering:
            if must:
                self._check_room(tokens)
            return len(self)
        held = sum(map(len, self._items))
        limit = held + self.room
        if truncation.items_tokens is not None:
            limit = min(limit, truncation.items_tokens)
        if held + tokens <= limit:
            return len(self)
        whole = [item for item in self._items if item.complete and len(item)]
        dropped: list[Item] = []
        for item in whole[:-1]:
            if held + tokens <= limit * truncation.retention_ratio:
                break
            if item is not keep:
                dropped.append(item)
                held -= len(item)
        if must:
            self._check_room(tokens - sum(map(len, dropped)))
        cut = min((self.start_of(item) for item in dropped), default=len(self))
        for item in dropped:
            item.pieces, item.forgotten = [], True
        if dropped:
            self._forgot()
        return cut

    def _check_room(self, tokens: int) -> None:
        if tokens > self.room:
            raise RefusedError(
                f"{tokens} more tokens do not fit: the conversation has {len(self)} and its "
                f"context holds {self._capacity_tokens}"
            )

    def _pieces(self) -> Iterator[Piece]:
        yield self._system
        for item in self._items:
            yield from item.pieces
        if self._expects_answer:
            yield self._opening
