"""What a client may do with the items of its conversation: add, look at, cut and delete them.

Knows which of them may be touched now. What an item may hold is `item_creation`'s, and how a spoken
one is cut `truncations`'.
"""

from __future__ import annotations

from streaming.protocol import client_events as client
from streaming.protocol.deletions import Deletions
from streaming.protocol.errors import NoSuchItemError, ProtocolError
from streaming.protocol.item_creation import ItemCreation
from streaming.protocol.listening import Listening
from streaming.protocol.replies import Replies
from streaming.protocol.shared import Shared
from streaming.protocol.truncations import Truncations


class ConversationItems:
    """The client's hand on the history of one session."""

    def __init__(
        self,
        shared: Shared,
        creation: ItemCreation,
        listening: Listening,
        replies: Replies,
        truncations: Truncations,
        deletions: Deletions,
    ) -> None:
        self._outbox = shared.outbox
        self._history = shared.history
        self._silence = shared.silence
        self._creation = creation
        self._listening = listening
        self._replies = replies
        self._truncations = truncations
        self._deletions = deletions

    def create(self, event: client.ItemCreate) -> None:
        """Add an item."""
        self._creation.create(event, self._listening.wire)

    def retrieve(self, event: client.ItemRetrieve) -> None:
        """Show an item.

        Raises:
            NoSuchItemError: It is not there.
        """
        item = self._history.find(event.item_id)
        if item is None:
            raise NoSuchItemError("retrieve", event.item_id)
        self._outbox.event("conversation.item.retrieved", item=item.wire())

    def delete(self, event: client.ItemDelete) -> None:
        """Take an item out; one of a cancelled response, once that has ended.

        Raises:
            ProtocolError: It is not there, or is being made.
        """
        if self._history.find(event.item_id) is None:
            raise NoSuchItemError("delete", event.item_id)
        if not self._replies.makes(event.item_id):
            self._deletions.now(event.item_id)
        elif self._replies.is_cancelling:
            self._deletions.later(event.item_id)
        else:
            message = f"Item '{event.item_id}' is still being made; cancel its response first."
            raise ProtocolError("invalid_value", message, "item_id")

    def truncate(self, event: client.ItemTruncate) -> None:
        """Cut a spoken item to what was played.

        Raises:
            ProtocolError: No such item, not speech, or shorter than that already.
        """
        self._truncations.request(event, running_item_id=self._replies.item_id)
        self._silence.cut(event.item_id)

    def lost(self, item_id: str) -> None:
        """The engine does not hold an item, so it is no part of what will be answered."""
        if self._history.find(item_id) and not self._replies.makes(item_id):
            self.remove(item_id)

    def remove(self, item_id: str) -> None:
        """An item is gone; tell the client."""
        self._deletions.gone(item_id)
