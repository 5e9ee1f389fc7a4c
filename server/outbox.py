"""What waits to be sent to one peer: ordered, bounded by count and by bytes.

Knows JSON and limits. Does not know sockets. A peer that reads too slowly for its limits is cut
off: nothing is ever left out in the middle of a stream.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import orjson

from server.errors import SlowReaderError

Sent = Callable[[], None]


class Outbox:
    """A queue of encoded events with one reader.

    Args:
        max_events: that wait.
        max_bytes: that wait.
        noted: is told of each event, and may return what is to be called when it is on its way.
    """

    def __init__(
        self,
        *,
        max_events: int,
        max_bytes: int,
        noted: Callable[[dict[str, Any]], Sent | None] = lambda event: None,
    ) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._noted = noted
        self._frames: deque[tuple[bytes, Sent | None]] = deque()
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
            self._frames.append((frame, self._noted(event)))
            self._size_bytes += len(frame)
        self._changed.set()

    async def peek(self) -> str:
        """Returns the oldest frame as text, once there is one; it stays until `pop`."""
        while not self._frames:
            self._changed.clear()
            await self._changed.wait()
        return self._frames[0][0].decode()

    def pop(self) -> None:
        """Forgets the oldest frame: it is on its way."""
        frame, sent = self._frames.popleft()
        self._size_bytes -= len(frame)
        if sent is not None:
            sent()

    def __len__(self) -> int:
        return len(self._frames)
