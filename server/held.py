"""Conversations that outlive their socket: each waits a while for its client to come back.

Knows who holds one, when it is missed for too long, and that only one socket has it at a time.
Tokens are kept only as digests. Does not know frames, events or the handshake (`resuming.py`).
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import NoReturn

from server.auth import digest_of
from server.conversation import Conversation
from server.doors import Visitor
from server.errors import ServerError, SessionGoneError, TakenOverError
from server.feed import Feed
from server.lifetime import Lifetime
from server.telemetry.watch import ConversationWatch
from streaming.protocol.resumption import is_ping, pong

logger = logging.getLogger("omnilive.held")

TOKEN_BYTES = 32


def new_token() -> str:
    """Returns a token that nobody can guess."""
    return secrets.token_urlsafe(TOKEN_BYTES)


class Held:
    """One conversation, from its first socket until it ends.

    Attributes:
        visitor: Who opened it.
        received: How many frames have come from the client.
        end: What ended it; None while it lives.
    """

    def __init__(
        self,
        *,
        conversation: Conversation,
        feed: Feed,
        lifetime: Lifetime,
        watch: ConversationWatch,
        window_s: float,
        visitor: Visitor,
        seat: ExitStack,
    ) -> None:
        """Takes an open conversation, and what is given back when it ends: itself and its seat."""
        self.conversation = conversation
        self.feed = feed
        self.visitor = visitor
        self.received = 0
        self.end: ServerError | None = None
        self._lifetime = lifetime
        self._watch = watch
        self._window_s = window_s
        self._seat = seat
        # One frame at a time: a socket that is lost takes none with it that was received.
        self._frames: asyncio.Queue[str | bytes] = asyncio.Queue(1)
        self._place = asyncio.Lock()
        self._waiting = 0
        self._displaced = asyncio.Event()
        self._present, self._absent = asyncio.Event(), asyncio.Event()
        self._absent.set()
        self._left, self._ended = asyncio.Event(), asyncio.Event()

    async def receive(self, frame: str | bytes) -> None:
        """Takes one frame of the client."""
        await self._frames.put(frame)
        self.received += 1

    @asynccontextmanager
    async def attached(self) -> AsyncIterator[None]:
        """Makes this the conversation's connection; whichever was it before has to go first."""
        self._waiting += 1
        # Before the lock, for whoever has it is let go by this; then it tells those who come later.
        self._displaced.set()
        try:
            await self._place.acquire()
        finally:
            self._waiting -= 1
        try:
            self._displaced.clear()
            if self._waiting:
                self._displaced.set()  # somebody newer is there already
            self._absent.clear()
            self._present.set()
            yield
        finally:
            self.feed.detach()
            self._present.clear()
            self._absent.set()
            self._place.release()

    async def displaced(self) -> NoReturn:
        """Waits, while attached, for a newer connection.

        Raises:
            TakenOverError: It is there.
        """
        await self._displaced.wait()
        raise TakenOverError("another connection has taken this conversation over")

    async def ended(self) -> NoReturn:
        """Waits for the conversation's end and raises what ended it."""
        await self._ended.wait()
        assert self.end is not None
        raise self.end

    def leave(self) -> None:
        """The client does not mean to come back."""
        self._left.set()

    async def run(self) -> None:
        """Lives until the conversation ends, and cleans up."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen(), name="listen")
                group.create_task(self.conversation.follow_engine(), name="follow")
                group.create_task(self._lifetime.end(), name="expire")
                group.create_task(self._miss(), name="miss")
                group.create_task(self._say_goodbye(), name="leave")
        except* ServerError as errors:
            # Several may come at once; any of them says why this conversation is over.
            first = errors.exceptions[0]
            self.end = first if isinstance(first, ServerError) else ServerError(str(first))
        except* Exception:  # a fault of ours: it ends this conversation, is logged, and is reported
            logger.exception("a held conversation failed")
            self.end = ServerError("the server failed in this conversation; its log says why")
        finally:
            if self.end is not None:
                self._watch.ends("client_left" if self._left.is_set() else self.end.code)
            self._seat.close()
            self._ended.set()

    async def _listen(self) -> NoReturn:
        while True:
            frame = await self._frames.get()
            if is_ping(frame):
                self.feed.put([pong(self.received)])
            else:
                await self.conversation.receive(frame)

    async def _say_goodbye(self) -> NoReturn:
        await self._left.wait()
        raise SessionGoneError("the client has left")

    async def _miss(self) -> NoReturn:
        while True:
            await self._absent.wait()
            try:
                async with asyncio.timeout(self._window_s):
                    await self._present.wait()
            except TimeoutError:
                raise SessionGoneError(
                    f"nobody came back within {self._window_s:g} s (resume_window_s)"
                ) from None


class HeldConversations:
    """Every resumable conversation that is open, by the digest of its token."""

    def __init__(self) -> None:
        self._held: dict[bytes, Held] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._held)

    def start(self, held: Held, token: str) -> None:
        """Lets a conversation live from now on, with or without a socket."""
        digest = digest_of(token)
        self._held[digest] = held
        task = asyncio.create_task(self._run(held, digest), name="held")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def find(self, token: str) -> Held | None:
        """Returns the conversation of a token; None if there is none."""
        asked = digest_of(token)
        # Every digest is compared, whatever the first ones gave.
        hits = [held for digest, held in self._held.items() if hmac.compare_digest(digest, asked)]
        return hits[0] if hits else None

    async def close(self) -> None:
        """Waits until all are cleaned up; the end of the server has ended them."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _run(self, held: Held, digest: bytes) -> None:
        try:
            await held.run()
        finally:
            del self._held[digest]
