"""The sound of one response, from the engine's pace to what its client hears.

Knows how much was given out. Does not know whether the client is to hear it, nor what it is told.
"""

from __future__ import annotations

from collections.abc import Iterator

from streaming.media.codecs import Samples, decode, encode
from streaming.media.formats import PCM_24K, AudioFormat
from streaming.media.stretch import Stretcher
from streaming.protocol.ports import MouthPort


class ResponseSound:
    """Sound on its way out; time is the client's, at the pace it hears.

    Args:
        speed: how fast the client hears it.
        audio_format: of what comes out.

    Attributes:
        has_begun: There has been any.
    """

    def __init__(self, mouth: MouthPort, *, speed: float, audio_format: AudioFormat) -> None:
        self._mouth = mouth
        self._audio_format = audio_format
        self._stretcher = Stretcher(speed)
        self._samples = 0
        self.has_begun = False

    @property
    def sent_ms(self) -> int:
        """How much was given out."""
        return self._samples * 1000 // PCM_24K.rate_hz

    def push(self, pcm: bytes) -> bytes:
        """Takes more (s16 LE, 24 kHz); returns what is ready, perhaps nothing."""
        if not self.has_begun:
            self.has_begun = True
            self._mouth.start(self._audio_format)
        return self._speak(self._stretcher.push(decode(pcm, PCM_24K)))

    def finish(self) -> Iterator[bytes]:
        """The pieces that were held back, each perhaps empty."""
        yield self._speak(self._stretcher.finish())
        yield self._mouth.finish()

    def _speak(self, samples: Samples) -> bytes:
        self._samples += len(samples)
        return self._mouth.speak(encode(samples, PCM_24K)) if len(samples) else b""
