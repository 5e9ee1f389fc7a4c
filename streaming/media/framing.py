"""Cutting audio into frames, and when each is due: arithmetic only, no clock.

Knows sizes and due times. Whoever paces holds the clock and sleeps until `due_s`; because due
times are counted from the start and not from the last frame, a late frame is followed at once by
the next and nothing drifts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from streaming.media.formats import AudioFormat


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A piece of audio and when it is due, in seconds after the first frame began."""

    audio: bytes
    due_s: float


def frame_bytes(audio_format: AudioFormat, frame_ms: int) -> int:
    """Bytes of one frame; the rates of the wire make it a whole number."""
    samples, remainder = divmod(audio_format.rate_hz * frame_ms, 1000)
    assert not remainder, f"{frame_ms} ms is no whole number of samples"
    return samples * audio_format.bytes_per_sample


def paced(audio: bytes, audio_format: AudioFormat, *, frame_ms: int = 20) -> Iterator[Frame]:
    """The frames of a clip at the pace of speech: each is due when its last sample was spoken.

    The last frame may be shorter.
    """
    size = frame_bytes(audio_format, frame_ms)
    bytes_per_s = audio_format.rate_hz * audio_format.bytes_per_sample
    for start in range(0, len(audio), size):
        piece = audio[start : start + size]
        yield Frame(audio=piece, due_s=(start + len(piece)) / bytes_per_s)


class Framer:
    """Frames of one size from pieces of any size; what does not fill a frame waits."""

    def __init__(self, size_bytes: int) -> None:
        self._size_bytes = size_bytes
        self._waiting = bytearray()

    @property
    def waiting_bytes(self) -> int:
        """Bytes that wait for the rest of their frame."""
        return len(self._waiting)

    def push(self, audio: bytes) -> list[bytes]:
        """The frames that are full now."""
        self._waiting += audio
        whole = len(self._waiting) - len(self._waiting) % self._size_bytes
        ready = bytes(self._waiting[:whole])
        del self._waiting[:whole]
        return [ready[at : at + self._size_bytes] for at in range(0, whole, self._size_bytes)]

    def finish(self) -> bytes:
        """What did not fill a frame."""
        rest = bytes(self._waiting)
        self._waiting.clear()
        return rest

    def clear(self) -> None:
        """Forget what waits (barge-in)."""
        self._waiting.clear()
