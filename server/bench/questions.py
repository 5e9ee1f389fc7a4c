"""The spoken questions that benches ask.

Knows one recording and how long each question is. The recording is 30 s of English sentences spoken
by `flite` (voice slt), joined with pauses of a third of a second; its last 3 s are a question of
their own. So the long question ends with the very words of the short one, and only what comes
before differs.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import soxr

from clients.python.sources import SAMPLE_RATE_HZ, Recording, read_recording
from streaming.engine.messages.content import INPUT_SAMPLE_RATE_HZ

RECORDING = Path(__file__).parent / "data" / "question_30s.flac"
SHORT_S, LONG_S = 3, 30
TEXT = "Could you please tell me why the sky is blue during the day?"


def question(duration_s: int) -> Recording:
    """Returns the last `duration_s` of the recording, which end with `TEXT`.

    The speech is said to end with the last sample, so that a client counts from there.

    Raises:
        SourceError: The recording is not there, or not whole.
    """
    samples = read_recording(RECORDING).samples[-duration_s * SAMPLE_RATE_HZ :]
    assert len(samples) == duration_s * SAMPLE_RATE_HZ, len(samples)
    return Recording(samples=samples, speech_end_samples=len(samples))


def for_engine(asked: Recording) -> npt.NDArray[np.float32]:
    """The same sound as the networks take it: float32 [S] at 16 kHz."""
    wave = asked.samples.astype(np.float32) / 32768
    resampled: npt.NDArray[np.float32] = soxr.resample(wave, SAMPLE_RATE_HZ, INPUT_SAMPLE_RATE_HZ)
    return resampled
