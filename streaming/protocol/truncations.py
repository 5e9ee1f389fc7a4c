"""Items that are being cut to what was heard.

The engine, which knows which words were spoken when, answers each cut with the text that is left;
only then is the client told. A cut of a reply that still runs waits until it has ended, so that
the engine only ever cuts finished items.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from streaming.protocol.client_events import ItemTruncate
from streaming.protocol.commands import TruncateItem
from streaming.protocol.engine_events import Failure, ItemTruncated
from streaming.protocol.errors import NoSuchItemError, ProtocolError
from streaming.protocol.items import Content
from streaming.protocol.shared import Shared


@dataclass(slots=True)
class _Cut:
    item_id: str
    audio_end_ms: int
    is_told: bool
    event_id: str | None


class Truncations:
    """The cuts that wait for a reply's end, and those that wait for the engine's answer."""

    def __init__(self, shared: Shared) -> None:
        self._outbox = shared.outbox
        self._history = shared.history
        self._waiting: list[_Cut] = []
        self._asked: dict[str, deque[_Cut]] = {}

    def request(self, event: ItemTruncate, *, running_item_id: str | None) -> None:
        """A client says how much of an item was played.

        Raises:
            ProtocolError: No such item, not speech, or shorter than that already.
        """
        item = self._history.find(event.item_id)
        if item is None:
            raise NoSuchItemError("truncate", event.item_id)
        if item.speech is None:
            message = f"Only spoken items can be truncated; '{event.item_id}' has no output audio."
            raise ProtocolError("invalid_value", message, "item_id")
        if event.content_index != 0:
            message = f"Invalid value: {event.content_index}. A spoken item has its audio at 0."
            raise ProtocolError("invalid_value", message, "content_index")
        _check_length(item.speech, event.audio_end_ms)
        cut = _Cut(event.item_id, event.audio_end_ms, is_told=True, event_id=event.event_id)
        if event.item_id == running_item_id:
            self._waiting.append(cut)
        else:
            self._ask(cut)

    def cut_silently(self, item_id: str, audio_end_ms: int) -> None:
        """The engine holds more of a cancelled reply than the client was given."""
        self._ask(_Cut(item_id, audio_end_ms, is_told=False, event_id=None))

    def reply_ended(self) -> None:
        """What waited for the running reply can be asked for now."""
        waiting, self._waiting = self._waiting, []
        for cut in waiting:
            item = self._history.find(cut.item_id)
            assert item is not None, "a running reply's item cannot be deleted"
            assert item.speech is not None
            try:
                _check_length(item.speech, cut.audio_end_ms)
            except ProtocolError as error:
                self._outbox.error(error, cut.event_id)
            else:
                self._ask(cut)

    def answered(self, event: ItemTruncated) -> None:
        """The engine has cut an item."""
        cut = self._next(event.item_id)
        if cut is None:
            return
        item = self._history.find(event.item_id)
        if item is not None and item.speech is not None:
            item.speech.text = event.text
        if cut.is_told:
            self._outbox.event(
                "conversation.item.truncated",
                item_id=cut.item_id,
                content_index=0,
                audio_end_ms=cut.audio_end_ms,
            )

    def failed(self, item_id: str, failure: Failure) -> bool:
        """The engine could not do something with an item; says whether a cut was under way."""
        cut = self._next(item_id)
        if cut is not None:
            self._outbox.fault(failure.code, failure.message, cut.event_id)
        return cut is not None

    def all_failed(self, failure: Failure) -> None:
        """No answer will come any more."""
        cuts = [*self._waiting, *(cut for asked in self._asked.values() for cut in asked)]
        self._waiting, self._asked = [], {}
        for cut in cuts:
            if cut.is_told:
                self._outbox.fault(failure.code, failure.message, cut.event_id)

    def _ask(self, cut: _Cut) -> None:
        item = self._history.find(cut.item_id)
        assert item is not None
        assert item.speech is not None
        item.speech.audio_ms = cut.audio_end_ms
        self._asked.setdefault(cut.item_id, deque()).append(cut)
        # The engine's time is that of its own speech.
        end_ms = round(cut.audio_end_ms * item.speech.speed)
        self._outbox.command(TruncateItem(item_id=cut.item_id, audio_end_ms=end_ms))

    def _next(self, item_id: str) -> _Cut | None:
        asked = self._asked.get(item_id)
        if not asked:
            return None
        cut = asked.popleft()
        if not asked:
            del self._asked[item_id]
        return cut


def _check_length(speech: Content, audio_end_ms: int) -> None:
    if audio_end_ms > speech.audio_ms:
        raise ProtocolError(
            "invalid_value",
            f"Audio content of {speech.audio_ms}ms is already shorter than {audio_end_ms}ms.",
            "audio_end_ms",
        )
