"""The input of one session: wire audio in, the user's turns at 16 kHz out.

Knows formats, the resampler, the noise suppressor and the turn detector, and joins them. Knows
nothing of items, events or engines. Without turn detection every sample belongs to the open turn.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from streaming.media.codecs import Samples, decode
from streaming.media.denoise import Denoiser, is_available
from streaming.media.formats import AudioFormat
from streaming.media.resample import MODEL_RATE_HZ, Resampler, resample
from streaming.turns.detector import TurnDetector
from streaming.turns.events import TurnAudio, TurnEvent, VadSettings
from streaming.turns.smart_turn import EndJudge, SmartTurn
from streaming.turns.voice_activity import SileroVoiceActivity, VoiceActivity


class Ear:
    """Implements `streaming.protocol.ports.EarPort`."""

    def __init__(
        self,
        new_activity: Callable[[], VoiceActivity] = SileroVoiceActivity,
        new_judge: Callable[[], EndJudge] = SmartTurn,
    ) -> None:
        self._new_activity = new_activity
        self._new_judge = new_judge
        self._judge: EndJudge | None = None
        self._detector: TurnDetector | None = None
        self._resampler = Resampler(MODEL_RATE_HZ, MODEL_RATE_HZ)
        self._denoiser = Denoiser(0)
        self._noise_level = 0  # of the denoiser from the next sample on
        self._position = 0  # samples received while no turns are detected
        self._left: list[TurnEvent] = []  # of a turn that was open when detection was turned off

    def set_turn_detection(self, settings: VadSettings | None) -> None:
        """Detect turns with `settings`, or (None) take all audio as the open turn's.

        Raises:
            NoJudgeError: The settings want a judge, and there is none here; nothing has changed.
        """
        if settings is not None and settings.max_wait_ms is not None and self._judge is None:
            self._judge = self._new_judge()
        if settings is None:
            if self._detector is not None:
                self._left += self._detector.end(_nothing())
                self._position = self._detector.position_samples
                self._detector = None
        elif self._detector is None:
            self._detector = TurnDetector(
                settings, self._new_activity(), judge=self._judge, position_samples=self._position
            )
        else:
            self._detector.settings, self._detector.judge = settings, self._judge

    def set_noise_reduction(self, level: int) -> bool:
        """Take noise off what is heard from now on, 1 to 4 strong; 0 is not at all.

        Returns:
            Whether that can be done here.
        """
        can = is_available()
        self._noise_level = level if can else 0
        return can

    @property
    def position_ms(self) -> int:
        """Audio received."""
        detector = self._detector
        samples = self._position if detector is None else detector.position_samples
        return samples * 1000 // MODEL_RATE_HZ

    def expect_speech(self, after_ms: int) -> None:
        """A reply is over; its sound will have been heard in `after_ms` from now."""
        if self._detector is not None:
            self._detector.expect_speech(after_ms * MODEL_RATE_HZ // 1000)

    def hear(self, audio: bytes, audio_format: AudioFormat) -> list[TurnEvent]:
        """Take the next audio of the input; what it means, in order."""
        pieces = []
        if audio_format.rate_hz != self._resampler.from_hz:
            pieces.append(self._denoiser.push(self._resampler.finish()))
            self._resampler = Resampler(audio_format.rate_hz, MODEL_RATE_HZ)
        if self._noise_level != self._denoiser.level:
            pieces.append(self._denoiser.finish())
            self._denoiser = Denoiser(self._noise_level)
        pieces.append(self._denoiser.push(self._resampler.push(decode(audio, audio_format))))
        heard, self._left = self._left, []
        for samples in pieces:
            heard += self._take(samples)
        return heard

    def end(self) -> list[TurnEvent]:
        """Give out what is held back, since the open turn ends here; then start afresh."""
        last = self._denoiser.push(self._resampler.finish())
        tail = np.concatenate([last, self._denoiser.finish()])
        heard, self._left = self._left, []
        if self._detector is not None:
            return heard + self._detector.end(tail)
        return heard + self._take(tail)

    def clear(self) -> None:
        """Forget what is held back and any open turn; time goes on."""
        self.end()

    def convert(self, audio: bytes, audio_format: AudioFormat) -> bytes:
        """A whole clip as float32 LE, 16 kHz, mono."""
        samples = decode(audio, audio_format)
        return _pcm(resample(samples, audio_format.rate_hz, MODEL_RATE_HZ))

    def _take(self, samples: Samples) -> list[TurnEvent]:
        if self._detector is not None:
            return self._detector.push(samples)
        self._position += len(samples)
        return [TurnAudio(pcm=_pcm(samples))] if len(samples) else []


def _pcm(samples: Samples) -> bytes:
    return samples.astype("<f4").tobytes()


def _nothing() -> Samples:
    return np.zeros(0, dtype=np.float32)
