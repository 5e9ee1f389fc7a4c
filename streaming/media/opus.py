"""Opus for speech: packets to 48 kHz samples, and 24 kHz samples to packets.

Knows libopus by way of PyAV, its settings for one voice, and how long a packet is. Does not know
RTP, order or loss.
"""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np

from streaming.media.errors import CodecError
from streaming.media.formats import PCM_24K, PCM_48K
from streaming.media.playout import FRAME_BYTES, FRAME_MS

RTP_CLOCK_HZ = PCM_48K.rate_hz
FRAME_SAMPLES = FRAME_BYTES // PCM_24K.bytes_per_sample
FRAME_TICKS = RTP_CLOCK_HZ * FRAME_MS // 1000
MAX_PACKET_TICKS = RTP_CLOCK_HZ * 120 // 1000

# Mono speech: half of what stereo music would take, and able to mend one lost packet in twenty.
BIT_RATE = 32_000
ENCODER_OPTIONS = {
    "application": "voip",
    "frame_duration": str(FRAME_MS),
    "fec": "1",
    "packet_loss": "5",
    "vbr": "on",
    "compression_level": "5",
}

# Frame sizes by the configuration number of a packet's first byte, in ticks of 2.5 ms.
_SILK = (4, 8, 16, 24)
_HYBRID = (4, 8)
_CELT = (1, 2, 4, 8)
_QUARTERS = 3 * _SILK + 2 * _HYBRID + 4 * _CELT
_QUARTER_TICKS = RTP_CLOCK_HZ // 400


def packet_ticks(payload: bytes) -> int:
    """Length of a packet at 48 kHz; one without content counts as one usual frame.

    Source: RFC 6716, section 3.1 and 3.2.
    """
    if not payload:
        return FRAME_TICKS
    code = payload[0] & 3
    frames = (1, 2, 2)[code] if code < 3 else (payload[1] & 63 if len(payload) > 1 else 0)
    ticks = frames * _QUARTERS[payload[0] >> 3] * _QUARTER_TICKS
    return ticks if 0 < ticks <= MAX_PACKET_TICKS else FRAME_TICKS


class OpusDecoder:
    """One stream of packets to mono s16 LE at 48 kHz; stereo is mixed."""

    def __init__(self) -> None:
        self._codec = av.AudioCodecContext.create("libopus", "r")
        self._codec.layout = "mono"
        self._codec.sample_rate = RTP_CLOCK_HZ

    def decode(self, payload: bytes) -> bytes:
        """The samples of one packet.

        Raises:
            CodecError: It is no Opus packet.
        """
        try:
            frames = self._codec.decode(av.Packet(payload)) if payload else []
        except av.FFmpegError as error:
            raise CodecError(
                f"{len(payload)} bytes are no Opus packet ({error.strerror})"
            ) from None
        return b"".join(frame.to_ndarray().astype("<i2", copy=False).tobytes() for frame in frames)


class OpusEncoder:
    """One stream of 20 ms frames, mono s16 LE at 24 kHz, to packets."""

    def __init__(self) -> None:
        self._codec = av.AudioCodecContext.create("libopus", "w")
        self._codec.sample_rate = PCM_24K.rate_hz
        self._codec.layout = "mono"
        self._codec.format = "s16"
        self._codec.bit_rate = BIT_RATE
        self._codec.time_base = Fraction(1, PCM_24K.rate_hz)
        self._codec.options = ENCODER_OPTIONS
        self._samples = 0

    def encode(self, frame: bytes) -> bytes:
        """The packet of one frame of `FRAME_BYTES`."""
        assert len(frame) == FRAME_BYTES, len(frame)
        samples = np.frombuffer(frame, dtype="<i2").astype(np.int16, copy=False)
        sound = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        sound.sample_rate = PCM_24K.rate_hz
        sound.pts = self._samples
        self._samples += FRAME_SAMPLES
        (packet,) = self._codec.encode(sound)
        return bytes(packet)
