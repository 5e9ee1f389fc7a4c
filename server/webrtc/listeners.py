"""Everybody who is in a call beside its peer: they hear its events, and may send any.

Knows how many there may be, and that what they send is taken by a task of the call. Does not know
sockets, nor what an event means.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn, Protocol

from server.conversation import Conversation
from server.webrtc.errors import CallFullError, CallOverError


class Listener(Protocol):
    """Hears the events of a call beside its peer."""

    def take(self, events: Iterable[dict[str, Any]]) -> None:
        """Take events of the call."""

    def end(self, failure: CallOverError) -> None:
        """The call is over."""


class Listeners:
    """Those of one call, up to `limit`."""

    def __init__(self, conversation: Conversation, limit: int) -> None:
        self._conversation = conversation
        self._limit = limit
        self._listeners: list[Listener] = []
        # One frame at a time: a line that falls takes none with it that the call has begun.
        self._frames: asyncio.Queue[str | bytes] = asyncio.Queue(1)

    def __len__(self) -> int:
        return len(self._listeners)

    def __iter__(self) -> Iterator[Listener]:
        return iter(self._listeners)

    def join(self, listener: Listener) -> None:
        """Lets somebody hear the call's events from now on, beginning with its session.

        Raises:
            CallFullError: As many do as may; names the limit.
        """
        if len(self._listeners) >= self._limit:
            raise CallFullError(f"{self._limit} other lines are in this call (max_sidebands)")
        self._listeners.append(listener)
        listener.take([self._conversation.greeting()])
        self._conversation.listeners.append(listener.take)

    def leave(self, listener: Listener) -> None:
        """Lets them hear no more."""
        if listener in self._listeners:
            self._listeners.remove(listener)
            self._conversation.listeners.remove(listener.take)

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
        for listener in self._listeners:
            listener.end(CallOverError("the call is over"))
