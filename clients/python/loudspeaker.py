"""What lies between the network and a sound card: a buffer that knows what was played.

Knows samples as bytes (24 kHz, signed 16 bit, mono). Filled by one thread, drained by another.
"""

from __future__ import annotations

from threading import Lock

from clients.python.sources import SAMPLE_RATE_HZ

_SAMPLE_BYTES = 2


class Loudspeaker:
    """The sound that is still to be played."""

    def __init__(self) -> None:
        self._waiting = bytearray()
        self._played_bytes = 0
        self._lock = Lock()

    def write(self, pcm: bytes) -> None:
        """Appends speech."""
        with self._lock:
            self._waiting += pcm

    def fill(self, out: memoryview) -> None:
        """Takes the next samples into `out`; silence where there are none."""
        with self._lock:
            count = min(len(out), len(self._waiting))
            out[:count] = self._waiting[:count]
            out[count:] = bytes(len(out) - count)
            del self._waiting[:count]
            self._played_bytes += count

    def begin(self) -> None:
        """A new reply begins: what is played from now on is counted from zero."""
        with self._lock:
            self._played_bytes = -len(self._waiting)

    def stop(self) -> int | None:
        """Throws away what waits; returns how many ms were played, None if nothing was cut."""
        with self._lock:
            cut = bool(self._waiting)
            self._waiting.clear()
            played_ms = max(0, self._played_bytes) // _SAMPLE_BYTES * 1000 // SAMPLE_RATE_HZ
            return played_ms if cut else None
