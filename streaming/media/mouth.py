"""The engine's 24 kHz PCM in the format that a client asked for, one response at a time.

Knows the wire formats. PCM at 24 kHz passes through byte for byte.
"""

from __future__ import annotations

from streaming.media.codecs import Samples, decode, encode
from streaming.media.formats import PCM_24K, AudioFormat
from streaming.media.resample import Resampler


class Mouth:
    """Implements `streaming.protocol.ports.MouthPort`."""

    has_formats = True

    def __init__(self) -> None:
        self._format = PCM_24K
        self._resampler = Resampler(PCM_24K.rate_hz, PCM_24K.rate_hz)

    def start(self, audio_format: AudioFormat) -> None:
        """Begin a response's audio; what an unfinished one left is gone."""
        self._format = audio_format
        self._resampler = Resampler(PCM_24K.rate_hz, audio_format.rate_hz)

    def speak(self, pcm: bytes) -> bytes:
        """The next wire bytes for the next s16 LE 24 kHz samples; may be empty."""
        if self._format == PCM_24K:
            return pcm
        return self._encoded(self._resampler.push(decode(pcm, PCM_24K)))

    def finish(self) -> bytes:
        """The tail that was still inside."""
        return self._encoded(self._resampler.finish())

    def _encoded(self, samples: Samples) -> bytes:
        return encode(samples, self._format)
