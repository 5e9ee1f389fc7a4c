"""What is sent to the client of a resumable conversation, whichever socket it has just now.

Takes the place of an `Outbox`. Knows the log's reader, and its limits. Does not know sockets. A
reader that is too slow is cut off; the conversation goes on without it, and what it missed is kept
within the log's bounds.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from server.errors import SlowReaderError
from server.outbox import Sent
from server.settings import Settings
from streaming.protocol.sent_log import SentLog


class Feed:
    """A numbered log with one reader at a time."""

    def __init__(
        self,
        settings: Settings,
        greeting: dict[str, Any],
        noted: Callable[[dict[str, Any]], Sent | None] = lambda event: None,
    ) -> None:
        """Takes the fields that its first event carries beside its own.

        `noted` is told of each event, and may return what is to be called when it is first sent.
        """
        self.log = SentLog(
            max_events=settings.send_queue_events, max_bytes=settings.resume_log_bytes
        )
        self._max_events = settings.send_queue_events
        self._max_bytes = settings.send_queue_bytes
        self._greeting = greeting
        self._noted = noted
        self._unsent: deque[tuple[int, Sent]] = deque()
        self._too_slow: SlowReaderError | None = None
        self._changed = asyncio.Event()

    def put(self, events: Iterable[dict[str, Any]]) -> None:
        """Numbers the events and keeps them; a reader whose limits that exceeds has to go."""
        for event in events:
            self.log.append({**event, **self._greeting})
            self._greeting = {}
            self._note(event)
            if self.log.waiting > self._max_events:
                self._cut_off(f"{self._max_events} events wait unread (send_queue_events)")
            elif self.log.waiting_bytes > self._max_bytes:
                self._cut_off(f"{self._max_bytes} bytes wait unread (send_queue_bytes)")
        self._changed.set()

    def attach(self, after: int) -> None:
        """A new reader goes on behind that number."""
        self._too_slow = None
        self.log.rewind(after)

    def detach(self) -> None:
        """The reader is gone."""
        self.log.leave()

    async def peek(self) -> str:
        """Returns the reader's next frame, once there is one.

        Raises:
            SlowReaderError: It has left too much unread; names the limit.
        """
        while (frame := self.log.peek()) is None:
            if self._too_slow is not None:
                raise self._too_slow
            self._changed.clear()
            await self._changed.wait()
        return frame.decode()

    def pop(self) -> None:
        """Forgets the reader's next frame: it is on its way."""
        if self._too_slow is None:
            number = self.log.pop()
            while self._unsent and self._unsent[0][0] <= number:
                self._unsent.popleft()[1]()

    def __len__(self) -> int:
        return self.log.waiting

    def _note(self, event: dict[str, Any]) -> None:
        while self._unsent and self._unsent[0][0] < self.log.first:
            self._unsent.popleft()  # it will never be sent
        sent = self._noted(event)
        if sent is not None:
            self._unsent.append((self.log.last, sent))

    def _cut_off(self, reason: str) -> None:
        self._too_slow = SlowReaderError(reason)
        self.log.leave()
