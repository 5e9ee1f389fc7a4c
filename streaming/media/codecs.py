"""Wire bytes to float samples and back: 16-bit PCM and the two laws of G.711.

Knows sample values. Does not know rates: resampling is `streaming.media.resample`.
Source: ITU-T Recommendation G.711 (11/88), tables 1 and 2; the decoders are built from its
definition, the encoders invert them by nearest value.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from streaming.media.errors import CodecError
from streaming.media.formats import AudioFormat, Encoding

Samples = npt.NDArray[np.float32]

FULL_SCALE = 32_768.0
# −50 dBFS: what is softer nobody hears at the other end of a line.
AUDIBLE = 10 ** (-50 / 20)


def decode(audio: bytes, audio_format: AudioFormat) -> Samples:
    """Samples in [-1, 1) of wire bytes.

    Args:
        audio: Bytes in `audio_format`.
        audio_format: How they are coded.

    Returns:
        float32 [samples], at the format's own rate.

    Raises:
        CodecError: Not a whole number of samples.
    """
    if len(audio) % audio_format.bytes_per_sample:
        raise CodecError(f"{len(audio)} bytes are not a whole number of 16-bit samples")
    if audio_format.encoding == "pcm16":
        return np.frombuffer(audio, dtype="<i2").astype(np.float32) / np.float32(FULL_SCALE)
    return _decoding_table(audio_format.encoding)[np.frombuffer(audio, dtype=np.uint8)]


def encode(samples: Samples, audio_format: AudioFormat) -> bytes:
    """Wire bytes of samples; what lies outside [-1, 1) is clipped.

    Args:
        samples: float [samples], at the format's own rate.
        audio_format: How to code them.
    """
    wide = np.rint(np.asarray(samples, dtype=np.float64) * FULL_SCALE)
    levels = np.clip(wide, -FULL_SCALE, FULL_SCALE - 1).astype(np.int32)
    if audio_format.encoding == "pcm16":
        return levels.astype("<i2").tobytes()
    return _encoding_table(audio_format.encoding)[levels + int(FULL_SCALE)].tobytes()


def is_silent(pcm: bytes, *, level: float = 0.001) -> bool:
    """Whether no sample of s16 LE audio is above `level` of full scale."""
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.int32)
    return not len(samples) or int(np.abs(samples).max()) <= level * FULL_SCALE


def audible_from(pcm: bytes, *, level: float = AUDIBLE) -> int | None:
    """The first sample of s16 LE audio that is above `level` of full scale; None if none is."""
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.int32)
    loud = np.flatnonzero(np.abs(samples) > level * FULL_SCALE)
    return int(loud[0]) if len(loud) else None


def _mulaw_levels() -> npt.NDArray[np.int32]:
    # The code is sent inverted: sign, three bits of exponent, four of mantissa.
    code = ~np.arange(256, dtype=np.uint8)
    exponent = (code >> 4 & 7).astype(np.int32)
    mantissa = (code & 15).astype(np.int32)
    magnitude = ((mantissa * 2 + 33) << (exponent + 2)) - 132
    return np.where(code & 128, -magnitude, magnitude)


def _alaw_levels() -> npt.NDArray[np.int32]:
    # Every other bit is sent inverted; the lowest two segments are one straight line.
    code = np.arange(256, dtype=np.uint8) ^ np.uint8(0x55)
    exponent = (code >> 4 & 7).astype(np.int32)
    mantissa = (code & 15).astype(np.int32)
    line = (mantissa << 4) + 8
    magnitude = np.where(exponent == 0, line, (line + 256) << np.maximum(exponent - 1, 0))
    return np.where(code & 128, magnitude, -magnitude)


def _levels(encoding: Encoding) -> npt.NDArray[np.int32]:
    return _mulaw_levels() if encoding == "mulaw" else _alaw_levels()


@cache
def _decoding_table(encoding: Encoding) -> Samples:
    return (_levels(encoding) / FULL_SCALE).astype(np.float32)


@cache
def _encoding_table(encoding: Encoding) -> npt.NDArray[np.uint8]:
    """The nearest code of every 16-bit level, from the lowest up."""
    levels = _levels(encoding)
    order = np.argsort(levels, kind="stable")
    ordered = levels[order]
    edges = (ordered[1:] + ordered[:-1]) / 2
    every_level = np.arange(-int(FULL_SCALE), int(FULL_SCALE))
    return order[np.searchsorted(edges, every_level)].astype(np.uint8)
