"""Noise taken out of a stream of speech, by WebRTC's own suppressor, in step with the sound.

Knows 16 kHz mono float32 and frames of 10 ms. The suppressor's window reaches back over the frame
before, so that its output comes late by 6 ms; that is taken off here, and `finish` gives out what
is held back (16 ms at most). It also takes off what lies below 100 Hz. It learns what the noise is
within a second, and keeps that from one turn to the next.
"""

from __future__ import annotations

import importlib.util
import math

import numpy as np

from streaming.media.codecs import Samples, decode, encode
from streaming.media.formats import PCM_16K

FRAME_SAMPLES = 160
# Its window of 256 samples moves on by 160.
DELAY_SAMPLES = 96
# From 0 (nothing) to 4; each of 1 to 4 takes about 6 dB more off a steady noise.
STRONGEST = 4


def is_available() -> bool:
    """Whether the package with the suppressor is here; there is none for every platform."""
    return importlib.util.find_spec("webrtc_noise_gain") is not None


class Denoiser:
    """One stream; `level` 1 to 4 says how much is taken off, 0 passes it through untouched."""

    def __init__(self, level: int) -> None:
        assert 0 <= level <= STRONGEST, level
        self.level = level
        self._suppressor = None
        if level:
            from webrtc_noise_gain import AudioProcessor

            self._suppressor = AudioProcessor(0, level)
        self._waiting = np.zeros(0, dtype=np.float32)
        self._late = DELAY_SAMPLES  # samples of output that belong to what was before
        self._pushed = 0
        self._given = 0

    def push(self, samples: Samples) -> Samples:
        """The output that is final after `samples` (float32 [n] in, float32 [m] out)."""
        if self._suppressor is None:
            return samples
        self._pushed += len(samples)
        waiting = np.concatenate([self._waiting, samples])
        whole = len(waiting) // FRAME_SAMPLES * FRAME_SAMPLES
        self._waiting = waiting[whole:]
        made = [self._frame(frame) for frame in waiting[:whole].reshape(-1, FRAME_SAMPLES)]
        return self._in_step(np.concatenate(made)) if made else np.zeros(0, dtype=np.float32)

    def finish(self) -> Samples:
        """The tail that was held back; the next push begins a new stream in the same noise."""
        if self._suppressor is None:
            return np.zeros(0, dtype=np.float32)
        missing = self._pushed - self._given
        frames = math.ceil((self._late + missing) / FRAME_SAMPLES)
        silence = np.zeros(frames * FRAME_SAMPLES - len(self._waiting), dtype=np.float32)
        tail = self.push(silence)[:missing] if missing else silence[:0]
        self._waiting, self._late, self._pushed, self._given = silence[:0], DELAY_SAMPLES, 0, 0
        return tail

    def _in_step(self, made: Samples) -> Samples:
        late = min(self._late, len(made))
        self._late -= late
        self._given += len(made) - late
        return made[late:]

    def _frame(self, frame: Samples) -> Samples:
        assert self._suppressor is not None
        return decode(self._suppressor.Process10ms(encode(frame, PCM_16K)).audio, PCM_16K)
