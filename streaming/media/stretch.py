"""Speech faster or slower at the same pitch, piece by piece, the same however it is cut.

Knows mono float32 at 24 kHz and overlap-add by similarity: pieces of 30 ms follow each other at
another pace than they were cut out at, each moved by up to 10 ms to where it continues the last.
Source: Verhelst and Roelands, "An overlap-add technique based on waveform similarity (WSOLA) for
high quality time-scale modification of speech", ICASSP 1993.
"""

from __future__ import annotations

import numpy as np

from streaming.media.codecs import Samples

HOP_SAMPLES = 360  # 15 ms at 24 kHz: half a piece
REACH_SAMPLES = 240  # 10 ms


class Stretcher:
    """One stream of speech at `speed` times its pace; speed 1 leaves it untouched."""

    def __init__(self, speed: float) -> None:
        assert speed > 0.0, speed
        self._speed = speed
        self._fade_in = (0.5 - 0.5 * np.cos(np.pi * np.arange(HOP_SAMPLES) / HOP_SAMPLES)).astype(
            np.float32
        )
        self._buffer: Samples = np.zeros(0, dtype=np.float32)
        self._start = 0  # place of the buffer's first sample in the input
        self._received = 0
        self._pieces = 0
        self._given = 0
        self._next = 0  # where the last piece would go on
        self._tail: Samples = np.zeros(HOP_SAMPLES, dtype=np.float32)

    def push(self, samples: Samples) -> Samples:
        """The output that is final after `samples`: float32 [n] in, float32 [m] out."""
        self._received += len(samples)
        if self._speed == 1.0:
            return samples
        return self._advance(samples)

    def finish(self) -> Samples:
        """The rest; in all there are `received / speed` samples."""
        if self._speed == 1.0:
            return np.zeros(0, dtype=np.float32)
        wanted = round(self._received / self._speed) - self._given
        silence = np.zeros(4 * (HOP_SAMPLES + REACH_SAMPLES), dtype=np.float32)
        rest = [np.zeros(0, dtype=np.float32)]
        while sum(map(len, rest)) < wanted:
            rest.append(self._advance(silence))
        return np.concatenate(rest)[:wanted]

    def _advance(self, samples: Samples) -> Samples:
        self._buffer = np.concatenate([self._buffer, samples])
        out = [np.zeros(0, dtype=np.float32)]
        while True:
            due = round(self._pieces * HOP_SAMPLES * self._speed)
            furthest = max(due + REACH_SAMPLES, self._next) + 2 * HOP_SAMPLES
            if furthest > self._start + len(self._buffer):
                break
            out.append(self._piece(due))
        made = np.concatenate(out)
        self._given += len(made)
        return made

    def _piece(self, due: int) -> Samples:
        """Half a piece of output; the piece is cut out near `due`."""
        at = self._most_alike(due) if self._pieces else due
        first, second = self._slice(at), self._slice(at + HOP_SAMPLES)
        # The first piece has nothing to fade from.
        made = first if not self._pieces else self._tail + first * self._fade_in
        self._tail = second * (1.0 - self._fade_in)
        self._next = at + HOP_SAMPLES
        self._pieces += 1
        keep = min(round(self._pieces * HOP_SAMPLES * self._speed) - REACH_SAMPLES, self._next)
        drop = max(0, keep - self._start)
        self._buffer, self._start = self._buffer[drop:], self._start + drop
        return np.asarray(made, dtype=np.float32)

    def _most_alike(self, due: int) -> int:
        """The place near `due` whose sound is most like the one that would have come next."""
        low = max(due - REACH_SAMPLES, self._start)
        field = self._buffer[low - self._start : due + REACH_SAMPLES + HOP_SAMPLES - self._start]
        likeness = np.correlate(field, self._slice(self._next), mode="valid")
        energy = np.convolve(field**2, np.ones(HOP_SAMPLES, dtype=np.float32), mode="valid")
        return low + int(np.argmax(likeness / np.sqrt(np.maximum(energy, 1e-9))))

    def _slice(self, at: int) -> Samples:
        begin = at - self._start
        return self._buffer[begin : begin + HOP_SAMPLES]
