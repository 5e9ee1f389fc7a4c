"""Everybody who is in a call beside its peer: they hear its events, and may send any.

Knows how many there may be, and that what they send is taken by a task of the call. Does not know
sockets, nor what an event means.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import NoReturn

from server.conversation import Conversation, Listener
from server.webrtc.errors import CallFullError, CallOverError


class Listeners:
    """Those of one call, up to `limit`."""

    def __init__(self, conversation: Conversation, limit: int) -> None:
        self._conversation = conversation
        self._limit = limit
        # One frame at a time: a line that falls takes none with it that the call has begun.
        self._frames: asyncio.Queue[str | bytes] = asyncio.Queue(1)

    def __len__(self) -> int:
        return len(self._conversation.listeners)

    def __iter__(self) -> Iterator[Listener]:
        return iter(self._conversation.listeners)

    def join(self, listener: Listener) -> None:
        """Lets somebody hear the call's events from now on, beginning with its session.

        Raises:
            CallFullError: As many do as may; names the limit.
        """
        if len(self._conversation.listeners) >= self._limit:
            raise CallFullError(f"{self._limit} other lines are in this call (max_sidebands)")
        listener.take([self._conversation.greeting()])
        self._conversation.listeners.append(listener)

    def leave(self, listener: Listener) -> None:
        """Lets them hear no more."""
        if listener in self._conversation.listeners:
            self._conversation.listeners.remove(listener)

    async def receive(self, frame: str | bytes) -> None:
        """Takes an event of one of them, once those before it are done."""
        await self._frames.put(frame)

    async def follow(self) -> NoReturn:
        """Gives their events to the conversation, one after the other.

        Raises:
            ServerError: What one of them led to was too much for the peer.
        """
        while True:
            await self._conversation.receive(await self._frames.get())

    def end(self) -> None:
        """Tells all of them that the call is over."""
        for listener in self._conversation.listeners:
            listener.end(CallOverError("the call is over"))
