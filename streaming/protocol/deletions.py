"""Items that a client takes out of its conversation.

One that a cancelled reply has made waits until that has ended, as its cuts do (`truncations`): the
engine only ever deletes finished items.
"""

from __future__ import annotations

from streaming.protocol.commands import DeleteItem
from streaming.protocol.errors import NoSuchItemError
from streaming.protocol.shared import Shared


class Deletions:
    """The deletions of one session, and those of them that wait for a reply's end."""

    def __init__(self, shared: Shared) -> None:
        self._outbox = shared.outbox
        self._history = shared.history
        self._waiting: list[str] = []

    def now(self, item_id: str) -> None:
        """Takes a finished item out."""
        self._outbox.command(DeleteItem(item_id=item_id))
        self.gone(item_id)

    def later(self, item_id: str) -> None:
        """Lets a deletion wait for the running reply's end.

        Raises:
            NoSuchItemError: It waits already; for the client the item is no more.
        """
        if item_id in self._waiting:
            raise NoSuchItemError("delete", item_id)
        self._waiting.append(item_id)

    def reply_ended(self) -> None:
        """What waited for the running reply is done now."""
        waiting, self._waiting = self._waiting, []
        for item_id in waiting:
            self.now(item_id)

    def gone(self, item_id: str) -> None:
        """An item is no more; tells the client."""
        self._history.remove(item_id)
        self._outbox.event("conversation.item.deleted", item_id=item_id)
