"""One Realtime session, sans-I/O: client frames and engine events in, server events and commands out.

How a transport uses it (all calls are plain functions, from one thread at a time)::

    session = RealtimeSession(profile=…, ear=Ear(), mouth=Mouth(), expires_at_s=…)
    open_with(session.instructions, session.voice)  # for OpenConversation
    send(session.events_to_send())                  # session.created is already waiting

    session.receive_event(frame)                    # str or bytes from the client; never raises
    session.receive_engine(ReplyText(…))            # what the engine said
    for command in session.commands(): …            # in order, each to the engine
    for event in session.events_to_send(): …        # in order, each as one JSON text frame

Knows the protocol's order, state and errors. Does not know sockets, clocks, the engine process or
any network; signal processing is behind `streaming.protocol.ports`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from streaming.protocol.commands import Command
from streaming.protocol.engine_events import EngineEvent
from streaming.protocol.limits import Limits, ModelProfile
from streaming.protocol.ports import EarPort, MouthPort


class RealtimeSession:
    """The protocol's side of one conversation."""

    def __init__(
        self,
        *,
        profile: ModelProfile,
        ear: EarPort,
        mouth: MouthPort,
        limits: Limits = Limits(),
        expires_at_s: int | None = None,
    ) -> None:
        raise NotImplementedError

    @property
    def session_id(self) -> str:
        """The id that the client sees."""
        raise NotImplementedError

    @property
    def instructions(self) -> str:
        """The system message now in force; the conversation is opened with it."""
        raise NotImplementedError

    @property
    def voice(self) -> str | None:
        """The voice now in force; the conversation is opened with it."""
        raise NotImplementedError

    def receive_event(self, frame: str | bytes) -> None:
        """Take one client frame; a mistake in it becomes an `error` event."""
        raise NotImplementedError

    def receive_engine(self, event: EngineEvent) -> None:
        """Take what the engine said."""
        raise NotImplementedError

    def events_to_send(self) -> list[dict[str, Any]]:
        """The server events since the last call, in order."""
        raise NotImplementedError

    def commands(self) -> Iterator[Command]:
        """The commands since the last call, in order; each is handed out once."""
        raise NotImplementedError
