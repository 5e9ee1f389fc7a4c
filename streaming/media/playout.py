"""What a server still has to play of its replies, and how much of each it has played.

Knows 20 ms frames of 24 kHz mono s16, in the order of the replies. Does not know a clock, a codec
or the protocol: whoever paces asks for the next frame, and is given silence when there is none.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field

from streaming.media.errors import PlayoutFullError
from streaming.media.formats import PCM_24K
from streaming.media.framing import frame_bytes

FRAME_MS = 20
FRAME_BYTES = frame_bytes(PCM_24K, FRAME_MS)
BYTES_PER_MS = PCM_24K.rate_hz * PCM_24K.bytes_per_sample // 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """20 ms to play now.

    Attributes:
        pcm: `FRAME_BYTES` of sound, or of silence.
        missing_ms: Of it, silence in the midst of a reply whose sound has not come.
        started: Replies whose first sample is in it.
        stopped: Replies whose last sample was in an earlier one, or is in this.
    """

    pcm: bytes
    missing_ms: float = 0.0
    started: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A reply that was thrown out of the buffer, and how much of it had been played."""

    response_id: str
    played_ms: int


@dataclass(slots=True)
class _Part:
    response_id: str
    waiting: bytearray = field(default_factory=bytearray)
    played_bytes: int = 0
    is_complete: bool = False


SILENCE = bytes(FRAME_BYTES)


class Playout:
    """The replies that are not wholly played, the one that is heard now first.

    Sound may be put in and thrown out by one thread while another plays.
    """

    def __init__(self, *, max_waiting_s: float = 600.0) -> None:
        self._max_waiting_s = max_waiting_s
        self._parts: deque[_Part] = deque()
        self._waiting_bytes = 0
        self._lock = threading.Lock()

    @property
    def waiting_ms(self) -> int:
        """Sound that is still to be played."""
        return self._waiting_bytes // BYTES_PER_MS

    def push(self, response_id: str, pcm: bytes) -> None:
        """Add sound of a reply, behind what waits.

        Raises:
            PlayoutFullError: More would wait than may; names the limit.
        """
        with self._lock:
            limit_bytes = int(self._max_waiting_s * 1000) * BYTES_PER_MS
            if self._waiting_bytes + len(pcm) > limit_bytes:
                raise PlayoutFullError(
                    f"more than {self._max_waiting_s:.0f} s of speech wait to be played"
                )
            if not self._parts or self._parts[-1].response_id != response_id:
                self._parts.append(_Part(response_id))
            self._parts[-1].waiting += pcm
            self._waiting_bytes += len(pcm)

    def finish(self, response_id: str) -> None:
        """A reply has no more sound than was pushed."""
        with self._lock:
            for part in self._parts:
                if part.response_id == response_id:
                    part.is_complete = True

    def next_frame(self) -> Frame:
        """The next 20 ms; what is missing of them is silence."""
        with self._lock:
            pcm = bytearray()
            missing_bytes = 0
            started: list[str] = []
            stopped: list[str] = []
            while self._parts:
                part = self._parts[0]
                piece = part.waiting[: FRAME_BYTES - len(pcm)]
                if piece and not part.played_bytes:
                    started.append(part.response_id)
                del part.waiting[: len(piece)]
                part.played_bytes += len(piece)
                pcm += piece
                if part.waiting or not part.is_complete:
                    if part.played_bytes:
                        missing_bytes = FRAME_BYTES - len(pcm)
                    break
                stopped.append(part.response_id)
                self._parts.popleft()
            self._waiting_bytes -= len(pcm)
            sound = bytes(pcm) + SILENCE[len(pcm) :]
            return Frame(
                pcm=sound,
                missing_ms=missing_bytes / BYTES_PER_MS,
                started=tuple(started),
                stopped=tuple(stopped),
            )

    def clear(self) -> list[Cut]:
        """Throw out what waits (barge-in); every reply that was not wholly played, in order."""
        with self._lock:
            cuts = [
                Cut(response_id=part.response_id, played_ms=part.played_bytes // BYTES_PER_MS)
                for part in self._parts
            ]
            self._parts.clear()
            self._waiting_bytes = 0
            return cuts
