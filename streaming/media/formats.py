"""The audio formats of the wire: their names, rates and sizes. No arithmetic on samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Encoding: TypeAlias = Literal["pcm16", "mulaw", "alaw"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioFormat:
    """One mono format: how a sample is coded and how many there are in a second."""

    encoding: Encoding
    rate_hz: int

    @property
    def bytes_per_sample(self) -> int:
        """Bytes that one sample takes."""
        return 2 if self.encoding == "pcm16" else 1

    def duration_ms(self, size_bytes: int) -> int:
        """Whole milliseconds of audio in `size_bytes`."""
        return size_bytes // self.bytes_per_sample * 1000 // self.rate_hz


PCM_48K = AudioFormat(encoding="pcm16", rate_hz=48_000)
PCM_24K = AudioFormat(encoding="pcm16", rate_hz=24_000)
PCM_16K = AudioFormat(encoding="pcm16", rate_hz=16_000)
PCMU = AudioFormat(encoding="mulaw", rate_hz=8_000)
PCMA = AudioFormat(encoding="alaw", rate_hz=8_000)
