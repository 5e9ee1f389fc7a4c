"""What one gateway process holds: its settings, the engine, and who is connected.

Knows who may come in. Does not know the protocol or sockets.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import uuid4

from server.doors import NOBODY, Doors, Visitor
from server.errors import FullError, NotReadyError, UnknownModelError
from server.settings import Settings
from server.webrtc.registry import Calls
from streaming.engine.client import EngineClient
from streaming.engine.messages import EngineReady

logger = logging.getLogger("omnilive.gateway")


@dataclass(slots=True)
class Gateway:
    """Shared by every connection; lives as long as the process."""

    settings: Settings
    engine: EngineClient
    conversations: set[str] = field(default_factory=set)
    doors: Doors = field(init=False)
    calls: Calls = field(init=False)

    def __post_init__(self) -> None:
        self.doors = Doors(self.settings)
        self.calls = Calls(self.settings)

    def ready(self) -> EngineReady:
        """Returns what the engine can do.

        Raises:
            NotReadyError: It is starting, or was lost and is coming back, or will not come back.
        """
        if self.engine.failure is not None:
            raise NotReadyError(f"the engine is gone: {self.engine.failure}")
        if self.engine.ready is None:
            raise NotReadyError("the engine is not ready yet; /readyz says when it is")
        return self.engine.ready

    def admit(self, model: str | None, visitor: Visitor = NOBODY) -> EngineReady:
        """Checks that this visitor may begin a conversation with this model.

        Raises:
            TooFastError: The visitor has opened too many lately.
            UnknownModelError: Another model is served here; names it.
            NotReadyError: The engine takes no conversations now.
            FullError: Every seat is taken, or every one that the visitor may have.
        """
        self.doors.count_opening(visitor)
        self.doors.check_seat(visitor)
        ready = self.ready()
        if model is not None and model != ready.model_id:
            raise UnknownModelError(f"no model {model!r} here; this server has {ready.model_id!r}")
        limit = self.settings.max_conversations
        if len(self.conversations) >= limit:
            raise FullError(f"{limit} conversations are open (max_conversations); try later")
        return ready

    @contextmanager
    def seat(self, visitor: Visitor = NOBODY) -> Iterator[str]:
        """Takes a seat for one conversation and gives its id."""
        conversation_id = f"conv_{uuid4().hex}"
        self.conversations.add(conversation_id)
        try:
            with self.doors.seat(visitor):
                yield conversation_id
        finally:
            self.conversations.discard(conversation_id)
