"""The conversation's items in their order.

Knows two kinds of place: an item that the client has been told of, and one that is still being
made (the user's open turn, a reply before its first word) and that the engine already holds.
Commands name predecessors among both; events only among the first.
"""

from __future__ import annotations

from streaming.protocol.items import AnyItem, CallItem


class History:
    """Items by place and by id. Finding a place is linear in the number of items."""

    def __init__(self) -> None:
        self._order: list[str] = []
        self._items: dict[str, AnyItem] = {}

    def __len__(self) -> int:
        return len(self._order)

    def __contains__(self, item_id: str) -> bool:
        return item_id in self._order

    @property
    def last_id(self) -> str | None:
        """Id at the last place, shown or not; None if there is none."""
        return self._order[-1] if self._order else None

    @property
    def shown_ids(self) -> list[str]:
        """Ids of the items that the client has been told of, in order."""
        return [item_id for item_id in self._order if item_id in self._items]

    def reserve(self, item_id: str) -> None:
        """Take the last place for an item that is still being made."""
        assert item_id not in self._order, item_id
        self._order.append(item_id)

    def reserve_answer(self, item_id: str) -> None:
        """Take the place of a reply: the last, or before the open turn if that is last.

        The engine puts it there too (`streaming/engine/beginnings.py`).
        """
        assert item_id not in self._order, item_id
        place = len(self._order)
        while place and self._order[place - 1] not in self._items:
            place -= 1
        self._order.insert(place, item_id)

    def show(self, item: AnyItem) -> None:
        """Fill the reserved place of an item: the client is told of it now."""
        assert item.item_id in self._order, item.item_id
        self._items[item.item_id] = item

    def insert(self, item: AnyItem, after: str | None) -> None:
        """Put a shown item behind `after`, which is in the history; None puts it first."""
        place = 0 if after is None else self._order.index(after) + 1
        self._order.insert(place, item.item_id)
        self._items[item.item_id] = item

    def place_behind(self, item_id: str) -> str:
        """Where an item goes that is to follow `item_id`.

        Behind those that come after it and are not shown yet: the client cannot have meant to put
        anything before what it does not know of, and the engine need not undo it.
        """
        place = self._order.index(item_id) + 1
        while place < len(self._order) and self._order[place] not in self._items:
            place += 1
        return self._order[place - 1]

    def remove(self, item_id: str) -> None:
        """Give an item's place up."""
        self._order.remove(item_id)
        self._items.pop(item_id, None)

    def find(self, item_id: str) -> AnyItem | None:
        """A shown item; None if there is none of this id."""
        return self._items.get(item_id)

    def holds_call(self, call_id: str) -> bool:
        """Whether a function call of this id was made."""
        items = self._items.values()
        return any(isinstance(item, CallItem) and item.call_id == call_id for item in items)

    def shown_before(self, item_id: str) -> str | None:
        """Id of the nearest shown item before the place of `item_id`; None if there is none."""
        place = self._order.index(item_id)
        shown = (other for other in reversed(self._order[:place]) if other in self._items)
        return next(shown, None)
