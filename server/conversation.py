"""One conversation in the gateway: the protocol's session wired to the engine and to an outbox.

Knows in which order things pass. Does not know sockets (`realtime.py`), the protocol's rules
(`streaming.protocol`) or the networks (`streaming.engine`).
"""

from __future__ import annotations

import asyncio

from server.errors import EngineLostError, FullError, NotReadyError
from server.outbox import Outbox
from server.translate import to_engine, to_protocol
from streaming.engine.client import EngineClient
from streaming.engine.messages import (
    ConversationOpened,
    ConversationRefused,
    EngineFault,
    OpenConversation,
)
from streaming.engine.messages import Event as EngineMessage
from streaming.protocol.session import RealtimeSession

# About a second of 24 kHz speech in base64.
LONG_FRAME_BYTES = 2**16


class Conversation:
    """Passes what the client says to the engine and what the engine says to the client."""

    def __init__(
        self,
        *,
        conversation_id: str,
        session: RealtimeSession,
        engine: EngineClient,
        outbox: Outbox,
    ) -> None:
        self._id = conversation_id
        self._session = session
        self._engine = engine
        self._outbox = outbox
        self._messages: asyncio.Queue[EngineMessage] = engine.subscribe(conversation_id)
        # Client and engine take turns with the session, so that its commands keep their order.
        self._turn = asyncio.Lock()

    async def open(self) -> None:
        """Asks the engine for a slot, then lets `session.created` out.

        Raises:
            FullError: The engine refuses; says why.
            NotReadyError: The engine ended meanwhile.
        """
        await self._engine.send(
            OpenConversation(
                conversation_id=self._id,
                instructions=self._session.instructions,
                voice=self._session.voice,
            )
        )
        match await self._messages.get():
            case ConversationOpened():
                await self._pass_on()
            case ConversationRefused(message=message):
                raise FullError(message)
            case EngineFault(message=message):
                raise NotReadyError(message)
            case message:
                raise AssertionError(f"{type(message).__name__} before the conversation was opened")

    async def receive(self, frame: str | bytes) -> None:
        """Takes one frame of the client.

        A frame with seconds of speech keeps the session busy for long (voice activity): it goes to
        a thread, so that other conversations go on.
        """
        async with self._turn:
            if len(frame) < LONG_FRAME_BYTES:
                self._session.receive_event(frame)
            else:
                await asyncio.to_thread(self._session.receive_event, frame)
            await self._pass_on()

    async def follow_engine(self) -> None:
        """Takes what the engine says until it loses this conversation.

        Raises:
            EngineLostError: The conversation cannot go on; the client has been told.
        """
        while True:
            message = await self._messages.get()
            event = to_protocol(message)
            if event is not None:
                async with self._turn:
                    self._session.receive_engine(event)
                    await self._pass_on()
            if isinstance(message, EngineFault) and message.fatal:
                raise EngineLostError(message.message)

    def close(self) -> None:
        """Gives the slot back."""
        self._engine.unsubscribe(self._id)

    async def _pass_on(self) -> None:
        self._outbox.put(self._session.events_to_send())
        for command in self._session.commands():
            await self._engine.send(to_engine(command, self._id))
