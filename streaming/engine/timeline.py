"""A conversation as the run of positions that the KV cache should hold.

Knows items, their pieces, and from which position on an edit changes the prompt. Does not know the
cache: it holds a prefix of this run, its own lengths say how long, and every edit here returns the
position back to which it must be cut. Does not know torch: encoder vectors are carried, not read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from streaming.engine.item import Item
from streaming.engine.messages.commands import FRONT
from streaming.engine.pieces import Piece, Placed
from streaming.engine.room import Room
from streaming.errors import DuplicateItemError, UnknownItemError


class Timeline:
    """The conversation's items in order, behind the system message, before an answer's opening.

    Args:
        system: the system message.
        opening: what opens the assistant's turn; wanted at the end while an answer is expected, so
            that it is in the cache before anybody asks.
        capacity_tokens: positions that there can be.
        forgot: called each time that oldest items were forgotten.

    Attributes:
        room: what of the capacity is taken; it says what fits.
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
        self._system = Piece(())
        self._items: list[Item] = []
        self._expects_answer = False
        self.room = Room(capacity_tokens=capacity_tokens, opening_tokens=len(opening))
        self.set_system(system)

    def __len__(self) -> int:
        return self.room.taken + (len(self._opening) if self._expects_answer else 0)

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
    def attainable_room(self) -> int:
        """How much room there can be, once everything is forgotten that may be."""
        return self.room.attainable(self._items)

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

    @property
    def items(self) -> Sequence[Item]:
        """All of them, in order."""
        return self._items

    def is_before(self, item: Item, other: Item) -> bool:
        """Tells whether `item` stands before `other`."""
        return self._items.index(item) < self._items.index(other)

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
        """Returns the offset between `position` and the TMRoPE id of a text token there."""
        found = passed = 0
        for piece in self._pieces():
            passed += len(piece)
            if passed > position:
                break
            found += piece.advance - len(piece)
        return found

    # Edits. Each returns the position up to which the prompt is as it was, and one that is refused
    # has changed nothing.

    def set_system(self, system: Piece) -> int:
        """Replaces the system message.

        Raises:
            RefusedError: There is no room for it.
        """
        self.room.check(len(system) - len(self._system))
        return self.restore_system(system)

    def restore_system(self, system: Piece) -> int:
        """Brings a system message back whose room was kept free; nothing if it is there."""
        if system is self._system:
            return len(self)
        self._system = system
        self.room.system_tokens = len(system)
        return 0

    def expect_answer(self, to: Item) -> int:
        """Wants the opening of the assistant's turn at the end, if that is where `to` stands."""
        self._expects_answer = self._items[-1] is to
        return self.room.taken

    def insert(self, item: Item, previous_item_id: str | None = None) -> int:
        """Puts an item behind another, at the front (`FRONT`), or at the end (None).

        Raises:
            DuplicateItemError: The conversation holds an item of this id.
            UnknownItemError: It holds none of the previous id.
            RefusedError: There is no room for it.
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
        self.room.items_tokens += len(item)
        self._expects_answer = False
        return min(cut, self.start_of(item))

    def remove(self, item_id: str) -> int:
        """Takes an item out.

        Raises:
            UnknownItemError: The conversation holds none of this id.
        """
        item = self.item(item_id)
        start = self.start_of(item)
        self._items.remove(item)
        self.room.items_tokens -= len(item)
        return start

    def extend(self, item: Item, pieces: Sequence[Piece], *, speculative: bool = False) -> int:
        """Adds pieces to an item; those that come behind speculative ones replace them.

        Raises:
            RefusedError: There is no room for them.
        """
        cut = self.make_room(sum(map(len, pieces)), keep=item)
        cut = min(cut, self.retract(item))
        self._replace(item, len(item.pieces), pieces)
        item.speculative = len(pieces) if speculative else 0
        return cut

    def retract(self, item: Item) -> int:
        """Takes the speculative pieces of an item back."""
        if item.speculative:
            self._replace(item, len(item.pieces) - item.speculative, ())
            item.speculative = 0
            self._expects_answer = False
        return self.start_of(item) + len(item)

    def swap_last(self, item: Item, piece: Piece) -> int:
        """Replaces the last piece of an item that grows.

        Raises:
            RefusedError: There is no room for it.
        """
        assert not item.speculative, "what is taken back is not swapped"
        last = item.pieces[-1]
        self.room.check(len(piece) - len(last))
        cut = self.start_of(item) + len(item) - len(last)
        self._replace(item, len(item.pieces) - 1, [piece])
        return cut

    def rewrite(self, item: Item, pieces: Sequence[Piece]) -> int:
        """Replaces a text item's content; what the two have in common stays in the cache.

        It is shorter than it was, or its room was kept free.
        """
        assert all(piece.embeds is None for piece in (*item.pieces, *pieces)), "text items only"
        start = self.start_of(item)
        old = [token for piece in item.pieces for token in piece.ids]
        new = [token for piece in pieces for token in piece.ids]
        same = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), None)
        self._replace(item, 0, pieces)
        return start + (min(len(old), len(new)) if same is None else same)

    def begin_answer(self, item_id: str, previous_item_id: str | None = None) -> tuple[Item, int]:
        """Puts an item that grows where an answer is to stand; see `insert`.

        At the end it takes the place of the expected answer's opening.

        Raises:
            DuplicateItemError: The conversation holds an item of this id.
            RefusedError: There is no room for it.
        """
        expected = self._expects_answer and previous_item_id is None
        whole = len(self)
        item = Item(item_id=item_id, role="assistant", pieces=[self._opening], complete=False)
        cut = self.insert(item, previous_item_id)
        return item, whole if expected else cut

    def make_room(self, tokens: int, *, keep: Item | None = None, must: bool = True) -> int:
        """Forgets the oldest items if these many tokens would not fit otherwise.

        Args:
            tokens: what is to be added.
            keep: an item that stays, besides the one that is answered.
            must: it has to fit; else it is as much as there can be.

        Raises:
            RefusedError: It has to fit, and does not even so.
        """
        dropped = self.room.to_forget(tokens, self._items, keep)
        if must:
            self.room.check(tokens - sum(map(len, dropped)))
        cut = min((self.start_of(item) for item in dropped), default=len(self))
        for item in dropped:
            self._replace(item, 0, ())
            item.forgotten = True
        if dropped:
            self._forgot()
        return cut

    def _replace(self, item: Item, start: int, pieces: Sequence[Piece]) -> None:
        before = len(item)
        item.replace(start, pieces)
        self.room.items_tokens += len(item) - before

    def _pieces(self) -> Iterator[Piece]:
        yield self._system
        for item in self._items:
            yield from item.pieces
        if self._expects_answer:
            yield self._opening
