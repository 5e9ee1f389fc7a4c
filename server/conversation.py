"""One conversation in the gateway: the protocol's session wired to the engine and to an outbox.

Knows in which order things pass. Does not know sockets (`realtime.py`), the protocol's rules
(`streaming.protocol`) or the networks (`streaming.engine`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Protocol

from server.asides import Asides
from server.errors import EngineLostError, FullError, ServerError
from server.feed import Feed
from server.lifetime import Lifetime
from server.opening import first_answer
from server.outbox import Outbox
from server.telemetry.watch import ConversationWatch
from server.translate import to_engine, to_protocol
from streaming.engine.client import EngineClient
from streaming.engine.messages.commands import OpenConversation
from streaming.engine.messages.events import ConversationOpened, ConversationRefused, EngineFault
from streaming.engine.messages.events import Event as EngineMessage
from streaming.media.formats import AudioFormat
from streaming.media.playout import Frame
from streaming.media.video import Pixels
from streaming.protocol.commands import OpenAside
from streaming.protocol.live import LiveSession
from streaming.protocol.outbox import random_id
from streaming.protocol.qwen.session import QwenSession
from streaming.protocol.session import RealtimeSession

# About a second of 24 kHz speech in base64.
LONG_FRAME_BYTES = 2**16
# In every event that holds a picture; a few bytes may be one of millions of pixels.
PICTURE = "input_image"


class Listener(Protocol):
    """Hears the events of a conversation beside its client."""

    def take(self, events: Iterable[dict[str, Any]]) -> None:
        """Take events of the conversation."""

    def end(self, failure: ServerError) -> None:
        """It is over."""


class Conversation:
    """Passes what the client says to the engine and what the engine says to the client.

    Attributes:
        listeners: hear every event beside the client.
    """

    def __init__(
        self,
        *,
        conversation_id: str,
        session: RealtimeSession | LiveSession | QwenSession,
        engine: EngineClient,
        outbox: Outbox | Feed,
        lifetime: Lifetime,
        watch: ConversationWatch,
    ) -> None:
        self.conversation_id = conversation_id
        self._lifetime = lifetime
        self._watch = watch
        watch.outbox = outbox
        self._session = session
        self._engine = engine
        self._outbox = outbox
        self.listeners: list[Listener] = []
        self._messages: asyncio.Queue[EngineMessage] = engine.subscribe(conversation_id)
        self._asides = Asides(conversation_id, engine, self._messages)
        # Client and engine take turns with the session, so that its commands keep their order.
        self._turn = asyncio.Lock()

    async def open(self) -> None:
        """Asks the engine for a slot, then lets `session.created` out.

        Raises:
            FullError: The engine refuses; says why.
            NotReadyError: The engine ended meanwhile, or does not answer.
        """
        command = OpenConversation(
            conversation_id=self.conversation_id,
            instructions=self._session.instructions,
            tools=self._session.tools,
            voice=self._session.voice,
        )
        match await first_answer(self._engine, command, self._messages):
            case ConversationOpened():
                await self._pass_on()
            case ConversationRefused(message=message):
                raise FullError(message)
            case message:
                raise AssertionError(f"{type(message).__name__} before the conversation was opened")

    def greeting(self) -> dict[str, Any]:
        """Returns the session as it is now, for somebody who joins."""
        session = self._session.snapshot()["session"]
        return {"type": "session.created", "event_id": random_id("event"), "session": session}

    async def receive(self, frame: str | bytes) -> None:
        """Takes one frame of the client.

        A frame with seconds of speech keeps the session busy for long (voice activity), and so may
        any with a picture or where a model judges turns: it goes to a thread, so that other
        conversations go on.
        """
        self._lifetime.touch()
        arrived_s = self._watch.now_s()
        async with self._turn:
            self._watch.arrived_s = arrived_s
            if _is_quick(frame) and not self._session.judges_turns:
                self._session.receive_event(frame)
            else:
                await asyncio.to_thread(self._session.receive_event, frame)
            await self._pass_on()

    async def hear(self, audio: bytes, audio_format: AudioFormat) -> None:
        """Takes what a live microphone heard."""
        arrived_s = self._watch.now_s()
        async with self._turn:
            self._watch.arrived_s = arrived_s
            if self._session.judges_turns:
                await asyncio.to_thread(self._session.receive_audio, audio, audio_format)
            else:
                self._session.receive_audio(audio, audio_format)
            await self._pass_on()

    @property
    def pictures_thinned(self) -> int:
        """A camera's pictures that were left out to keep to a number or a budget."""
        return self._session.pictures_thinned

    async def see(self, pixels: Pixels) -> None:
        """Takes what a live camera sees."""
        async with self._turn:
            self._session.receive_picture(pixels)
            await self._pass_on()

    async def follow_playout(self, frames: asyncio.Queue[Frame]) -> None:
        """Takes, without end, what a live loudspeaker has begun and ended to play."""
        while True:
            frame = await frames.get()
            async with self._turn:
                assert isinstance(self._session, LiveSession)
                self._session.receive_playout(frame.started, frame.stopped)
                await self._pass_on()

    async def follow_engine(self) -> None:
        """Takes what the engine says until it loses this conversation.

        Raises:
            EngineLostError: The conversation cannot go on; the client has been told.
        """
        while True:
            message = await self._messages.get()
            self._watch.heard(message)
            is_aside = self._asides.concern(message)
            event = self._asides.take(message) if is_aside else to_protocol(message)
            if event is not None:
                async with self._turn:
                    self._session.receive_engine(event)
                    await self._pass_on()
            if isinstance(message, EngineFault) and message.fatal and not is_aside:
                raise EngineLostError(message.message)

    async def snapshot(self) -> dict[str, Any]:
        """Returns what a client needs that has missed events; nothing happens while it is taken."""
        async with self._turn:
            return self._session.snapshot()

    def close(self) -> None:
        """Gives its slots back, and says what was measured of it."""
        self._watch.closed()
        self._asides.close()
        self._engine.unsubscribe(self.conversation_id)

    async def _pass_on(self) -> None:
        events = self._session.events_to_send()
        if events:
            self._lifetime.touch()
        self._outbox.put(events)
        for listener in tuple(self.listeners):
            listener.take(events)
        for command in self._session.commands():
            self._watch.commanded(command)
            if isinstance(command, OpenAside):
                self._asides.open(command.response_id)
            await self._engine.send(to_engine(command, self.conversation_id))


def _is_quick(frame: str | bytes) -> bool:
    """Whether a frame can keep a session busy for a moment only."""
    if len(frame) >= LONG_FRAME_BYTES:
        return False
    return PICTURE not in frame if isinstance(frame, str) else PICTURE.encode() not in frame
