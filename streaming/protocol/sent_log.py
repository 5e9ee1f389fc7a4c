"""The events of one conversation, numbered: what a client missed can be sent once more.

Each event gets the next number as `x_seq`, from 1 on, and is kept as the frame that was sent. Kept
are all that wait for the reader, and of those behind it as many as the bounds allow; once the
reader has left the bounds hold for all, until one comes back. Knows JSON and bounds. Does not know
sockets.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import orjson

SEQ = "x_seq"


class SentLog:
    """Frames in order, with the place of the one reader, who begins at the first.

    Attributes:
        last: Number of the newest event; 0 before the first.
        waiting_bytes: Size of what the reader has not taken yet.
    """

    def __init__(self, *, max_events: int, max_bytes: int) -> None:
        """Takes the bounds of what is kept behind the reader."""
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._frames: deque[bytes] = deque()
        self._kept_bytes = 0
        self._next: int | None = 1
        self.last = 0
        self.waiting_bytes = 0

    @property
    def first(self) -> int:
        """Number of the oldest event that is kept; the next one's if there is none."""
        return self.last - len(self._frames) + 1

    @property
    def waiting(self) -> int:
        """How many events the reader has not taken yet."""
        return 0 if self._next is None else self.last - self._next + 1

    def append(self, event: dict[str, Any]) -> None:
        """Numbers an event and keeps it."""
        self.last += 1
        frame = orjson.dumps({**event, SEQ: self.last})
        self._frames.append(frame)
        if self._next is None:
            self._kept_bytes += len(frame)
            self._forget()
        else:
            self.waiting_bytes += len(frame)

    def holds_after(self, number: int) -> bool:
        """Whether every event behind that number is kept."""
        return self.first <= number + 1

    def rewind(self, number: int) -> None:
        """Puts the reader behind that number; what it needs must be there."""
        assert self.holds_after(number), (self.first, number)
        assert number <= self.last, (number, self.last)
        self._next = number + 1
        behind = self._next - self.first
        sizes = [len(frame) for frame in self._frames]
        self._kept_bytes, self.waiting_bytes = sum(sizes[:behind]), sum(sizes[behind:])

    def leave(self) -> None:
        """The reader is gone: what waited for it is only kept from now on."""
        self._next = None
        self._kept_bytes += self.waiting_bytes
        self.waiting_bytes = 0
        self._forget()

    def peek(self) -> bytes | None:
        """The reader's next frame; None if it has had all."""
        if not self.waiting:
            return None
        assert self._next is not None
        return self._frames[self._next - self.first]

    def pop(self) -> int:
        """The reader has taken its next frame; the number of that."""
        frame = self.peek()
        assert frame is not None
        assert self._next is not None
        self._next += 1
        self.waiting_bytes -= len(frame)
        self._kept_bytes += len(frame)
        self._forget()
        return self._next - 1

    def _forget(self) -> None:
        """Drops the oldest that the reader does not wait for, down to the bounds."""
        kept = len(self._frames) - self.waiting
        while kept and (kept > self._max_events or self._kept_bytes > self._max_bytes):
            self._kept_bytes -= len(self._frames.popleft())
            kept -= 1
