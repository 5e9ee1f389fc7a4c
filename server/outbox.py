"""What waits to be sent to one peer: ordered, bounded by count and by bytes.

Knows JSON and limits. Does not know sockets. A peer that reads too slowly for its limits is cut
off: nothing is ever left out in the middle of a stream.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Any

import orjson

from server.errors import SlowReaderError


class Outbox:
    """A queue of encoded events with one reader."""

    def __init__(self, *, max_events: int, max_bytes: int) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._frames: deque[bytes] = deque()
        self._size_bytes = 0
        self._changed = asyncio.Event()

    def put(self, events: Iterable[dict[str, Any]]) -> None:
        """Encodes the events and appends them.

        Raises:
            SlowReaderError: One of the limits would be exceeded; names it.
        """
        for event in events:
            frame = orjson.dumps(event)
            if len(self._frames) >= self._max_events:
                raise SlowReaderError(f"{self._max_events} events wait unread (send_queue_events)")
            if self._size_bytes + len(frame) > self._max_bytes:
                raise SlowReaderError(f"{self._max_bytes} bytes wait unread (send_queue_bytes)")
            self._frames.append(frame)
            self._size_bytes += len(frame)
        self._changed.set()

    async def peek(self) -> str:
        """Returns the oldest frame as text, once there is one; it stays until `pop`."""
        while not self._frames:
            self._changed.clear()
            await self._changed.wait()
        return self._frames[0].decode()

    def pop(self) -> None:
        """Forgets the oldest frame: it is on its way."""
        self._size_bytes -= len(self._frames.popleft())

    def __len__(self) -> int:
        return len(self._frames)
