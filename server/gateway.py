"""What one gateway process holds: its settings, the engine, and who is connected.

Knows who may come in, and when all have left. Does not know the protocol or sockets.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import uuid4

from server.auth import ApiKeys
from server.doors import LOOPBACK, NOBODY, Doors, Visitor, split
from server.draining import Draining
from server.errors import FullError, NotReadyError, UnknownModelError
from server.held import HeldConversations
from server.settings import Settings
from server.telemetry.telemetry import Telemetry
from server.webrtc.registry import Calls
from streaming.engine.client import EngineClient
from streaming.engine.messages.events import EngineReady
from streaming.logs import CONVERSATION

logger = logging.getLogger("omnilive.gateway")

# What conversations are given to tell their clients that the server ends.
LAST_WORDS_S = 2.0


@dataclass(slots=True)
class Gateway:
    """Shared by every connection; lives as long as the process.

    Attributes:
        address: What it really listens on.
    """

    settings: Settings
    engine: EngineClient
    address: str = LOOPBACK
    conversations: set[str] = field(default_factory=set)
    draining: Draining = field(default_factory=Draining)
    doors: Doors = field(init=False)
    calls: Calls = field(init=False)
    telemetry: Telemetry = field(init=False)
    held: HeldConversations = field(default_factory=HeldConversations)
    admins: ApiKeys = field(init=False)
    _empty: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.telemetry = Telemetry(self.settings, self.engine)
        self.doors = Doors(self.settings, address=self.address)
        self.admins = ApiKeys(split(self.settings.admin_key), setting="admin_key")
        self.calls = Calls(self.settings)
        self._empty.set()

    def ready(self) -> EngineReady:
        """Returns what the engine can do.

        Raises:
            NotReadyError: It is starting, was lost and is coming back, will not come back, or says
                nothing.
        """
        if self.engine.failure is not None:
            raise NotReadyError(f"the engine is gone: {self.engine.failure}")
        if self.engine.ready is None:
            raise NotReadyError("the engine is not ready yet; /readyz says when it is")
        if not self.engine.is_up:
            raise NotReadyError(f"the engine has said nothing for {self.engine.silent_s:.0f} s")
        return self.engine.ready

    def check_open(self) -> None:
        """Raises DrainingError if the server is about to end."""
        self.draining.check(len(self.conversations))

    def admit(self, model: str | None, visitor: Visitor = NOBODY) -> EngineReady:
        """Checks that this visitor may begin a conversation with this model.

        Raises:
            DrainingError: The server is about to end.
            TooFastError: The visitor has opened too many lately.
            UnknownModelError: Another model is served here; names it.
            NotReadyError: The engine takes no conversations now.
            FullError: Every seat is taken.
            TooManyOpenError: Every seat is that the visitor may have.
        """
        self.check_open()
        self.doors.count_opening(visitor)
        self.doors.check_seat(visitor)
        ready = self.ready()
        if model is not None and model != ready.model_id:
            raise UnknownModelError(
                f"no model {model[:100]!r} here; this server has {ready.model_id!r}"
            )
        limit = self.settings.max_conversations
        if len(self.conversations) >= limit:
            raise FullError(f"{limit} conversations are open (max_conversations); try later")
        return ready

    @contextmanager
    def seat(self, visitor: Visitor = NOBODY) -> Iterator[str]:
        """Takes a seat for one conversation and gives its id."""
        conversation_id = f"conv_{uuid4().hex}"
        self.conversations.add(conversation_id)
        # Each connection is a task with a context of its own, as are all that come of it: what is
        # logged in them from now on is this conversation's.
        CONVERSATION.set(conversation_id)
        self._empty.clear()
        try:
            with self.doors.seat(visitor):
                yield conversation_id
        finally:
            self.conversations.discard(conversation_id)
            if not self.conversations:
                self._empty.set()

    async def drain(self) -> None:
        """Lets nobody in any more, and gives those who are there their time to leave."""
        self.draining.begin()
        limit_s = self.settings.drain_timeout_s
        logger.info("draining: %d conversations are open", len(self.conversations))
        if not await self._emptied_within(limit_s):
            left = len(self.conversations)
            logger.info("draining: %d are open after %g s (drain_timeout_s)", left, limit_s)

    async def dismiss(self) -> None:
        """Tells everybody who is still there to leave, and gives them time to hear it."""
        self.draining.finish()
        await self._emptied_within(LAST_WORDS_S)

    async def _emptied_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True
