"""Resampling of a stream, piece by piece, to the same samples as in one go.

Knows rates and mono float32. The filter holds back about 20 ms, which `finish` gives out.
"""

from __future__ import annotations

import numpy as np
import soxr

from streaming.media.codecs import Samples

MODEL_RATE_HZ = 16_000


class Resampler:
    """One stream from one rate to another; equal rates pass through untouched."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self.from_hz = from_hz
        self.to_hz = to_hz
        self._stream = _new_stream(from_hz, to_hz)

    def push(self, samples: Samples) -> Samples:
        """The output that is final after `samples` (float32 [n] in, float32 [m] out)."""
        if self._stream is None or not len(samples):
            return samples
        return np.asarray(self._stream.resample_chunk(samples), dtype=np.float32)

    def finish(self) -> Samples:
        """The tail that was held back; the next push begins a new stream."""
        if self._stream is None:
            return np.zeros(0, dtype=np.float32)
        tail = self._stream.resample_chunk(np.zeros(0, dtype=np.float32), last=True)
        self._stream = _new_stream(self.from_hz, self.to_hz)
        return np.asarray(tail, dtype=np.float32)


def resample(samples: Samples, from_hz: int, to_hz: int) -> Samples:
    """A whole clip at another rate: float32 [n] in, float32 [round(n * to / from)] out."""
    stream = Resampler(from_hz, to_hz)
    return np.concatenate([stream.push(samples), stream.finish()])


def _new_stream(from_hz: int, to_hz: int) -> soxr.ResampleStream | None:
    if from_hz == to_hz:
        return None
    return soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32", quality="HQ")
