"""Responses beside their conversation: each has a conversation of its own in the engine.

Knows what the engine's words about such a conversation mean for its response. Does not know what is
asked or answered in it, nor how many there may be (the engine refuses one too many).
"""

from __future__ import annotations

import asyncio

from server.translate import aside_of, response_aside, to_protocol
from streaming.engine.client import EngineClient
from streaming.engine.messages.address import OfConversation
from streaming.engine.messages.events import ConversationRefused, EngineFault, Event
from streaming.protocol.engine_events import EngineEvent, Failure, ReplyDone, ReplyUsage


class Asides:
    """Those of one session; what the engine says of them comes on the session's own queue."""

    def __init__(
        self, conversation_id: str, engine: EngineClient, messages: asyncio.Queue[Event]
    ) -> None:
        self._id = conversation_id
        self._engine = engine
        self._messages = messages
        self._open: set[str] = set()

    def open(self, response_id: str) -> None:
        """Begins to hear of a response that the engine is about to be asked for."""
        self._open.add(response_id)
        self._engine.subscribe(aside_of(self._id, response_id), self._messages)

    def concern(self, message: Event) -> bool:
        """Whether a message is about one of these."""
        return _response_of(message) is not None

    def take(self, message: Event) -> EngineEvent | None:
        """Returns what a message means for its response; None if that has ended already.

        Whatever cannot be done for such a response ends it.
        """
        response_id = _response_of(message)
        assert response_id is not None, "a message of the session's own conversation"
        if response_id not in self._open:
            return None
        match message:
            case ConversationRefused(code=code, message=text):
                event: EngineEvent | None = _failed(response_id, code, text)
            case EngineFault(code=code, message=text):
                event = _failed(response_id, code, text)
            case _:
                event = to_protocol(message)
        if isinstance(event, ReplyDone):
            self._close(response_id)
        return event

    def close(self) -> None:
        """Gives all slots back."""
        for response_id in list(self._open):
            self._close(response_id)

    def _close(self, response_id: str) -> None:
        self._open.discard(response_id)
        self._engine.unsubscribe(aside_of(self._id, response_id))


def _response_of(message: Event) -> str | None:
    if not isinstance(message, OfConversation | EngineFault) or message.conversation_id is None:
        return None
    return response_aside(message.conversation_id)


def _failed(response_id: str, code: str, message: str) -> ReplyDone:
    return ReplyDone(
        response_id=response_id,
        status="failed",
        usage=ReplyUsage(),
        failure=Failure(code=code, message=message),
    )
