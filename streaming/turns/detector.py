"""Voice activity to turns.

Knows 16 kHz samples, in any pieces, and counts time by them alone: the same samples give the same
events however they are cut. Does not know what a turn leads to, or the wire.

A turn opens once `onset_ms` of speech are there, and reaches back to `prefix_padding_ms` before
them, but never into what an earlier turn took. After `pause_ms` of silence it pauses: its audio so
far is out, and what follows is held back, so that an engine may already work on what looks like
the whole turn. Speech resumes it, and the held audio follows; `silence_duration_ms` of silence end
it, and the held audio, silence, becomes the padding of the next turn. Where a judge decides, that
silence is when it is asked, once in each pause, and `max_wait_ms` of it end the turn against it.

Where a silence after a reply may be too long, `expect_speech` says from when it counts.
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto

import numpy as np

from streaming.media.codecs import Samples
from streaming.turns.events import (
    IdleTimeout,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    SpeechStopped,
    TurnAudio,
    TurnEvent,
    VadSettings,
)
from streaming.turns.smart_turn import EndJudge
from streaming.turns.voice_activity import FRAME_SAMPLES, RATE_HZ, VoiceActivity

# Once speech is heard, a frame must fall this far below the threshold to count as silence.
HYSTERESIS = 0.15
LOWEST_THRESHOLD = 0.01
# From here on a judge takes a turn for a whole one; of its sound it hears the last seconds.
WHOLE_TURN = 0.5
JUDGED_FRAMES = 8 * RATE_HZ // FRAME_SAMPLES


class Phase(Enum):
    """Where a turn stands."""

    IDLE = auto()
    ONSET = auto()
    SPEECH = auto()
    PAUSE = auto()


class TurnDetector:
    """One user's turns, one after the other.

    Attributes:
        settings: May be changed at any time; what is under way goes on under the new ones.
        judge: Decides the end of turns where `settings` have a `max_wait_ms`.
    """

    def __init__(
        self,
        settings: VadSettings,
        activity: VoiceActivity,
        *,
        judge: EndJudge | None = None,
        position_samples: int = 0,
    ) -> None:
        self.settings = settings
        self.judge = judge
        self._activity = activity
        self._recent: deque[Samples] = deque(maxlen=JUDGED_FRAMES)  # of the turn, for the judge
        self._goes_on = False  # the judge has said so in this pause
        self._quiet_from: int | None = None  # where the silence after a reply begins
        self._quiet: list[Samples] = []
        self._phase = Phase.IDLE
        self._position = position_samples  # of the end of the last whole frame
        self._partial: Samples = np.zeros(0, dtype=np.float32)
        self._held: deque[Samples] = deque()  # idle: padding; onset: and speech; pause: silence
        self._onset_samples = 0
        self._silence_samples = 0
        self._turn_samples = 0
        self._events: list[TurnEvent] = []
        self._audio: list[Samples] = []

    @property
    def position_samples(self) -> int:
        """Samples received."""
        return self._position + len(self._partial)

    @property
    def is_open(self) -> bool:
        """Whether a turn is open."""
        return self._phase in (Phase.SPEECH, Phase.PAUSE)

    def push(self, samples: Samples) -> list[TurnEvent]:
        """What float32 [n] at 16 kHz, any n, means."""
        waiting = np.concatenate([self._partial, samples])
        whole = len(waiting) - len(waiting) % FRAME_SAMPLES
        for start in range(0, whole, FRAME_SAMPLES):
            self._take(waiting[start : start + FRAME_SAMPLES])
        self._partial = waiting[whole:]
        return self._given_out()

    def end(self, tail: Samples) -> list[TurnEvent]:
        """End an open turn here, whatever is being said; its last audio, `tail` included."""
        self._partial = np.concatenate([self._partial, tail])
        if self.is_open:
            self._audio += [*self._held, self._partial]
        self.clear()
        return self._given_out()

    def expect_speech(self, after_samples: int) -> None:
        """A reply is over; its sound will have been heard in `after_samples` from now."""
        if not self.is_open and self.settings.idle_timeout_ms is not None:
            self._quiet_from = self.position_samples + after_samples
            self._quiet = []

    def clear(self) -> None:
        """Forget any turn and all audio, but not how much there was."""
        self._position += len(self._partial)
        self._partial = self._partial[:0]
        self._held.clear()
        self._phase = Phase.IDLE
        self._onset_samples = 0
        self._quiet_from = None
        self._recent.clear()
        self._activity.reset()

    def _take(self, frame: Samples) -> None:
        self._position += FRAME_SAMPLES
        is_speech = self._activity.probability(frame) >= self._threshold()
        match self._phase:
            case Phase.IDLE | Phase.ONSET:
                self._wait(frame, is_speech)
                self._count_quiet(frame)
            case Phase.SPEECH:
                self._recent.append(frame)
                self._follow(frame, is_speech)
            case Phase.PAUSE:
                self._recent.append(frame)
                self._hold(frame, is_speech)
        if self.is_open and self._turn_samples >= _samples(self.settings.max_turn_ms):
            self._stop()

    def _threshold(self) -> float:
        if self._phase is Phase.SPEECH and not self._silence_samples:
            return max(self.settings.threshold - HYSTERESIS, LOWEST_THRESHOLD)
        return self.settings.threshold

    def _wait(self, frame: Samples, is_speech: bool) -> None:
        self._held.append(frame)
        if not is_speech:
            self._phase = Phase.IDLE
            self._onset_samples = 0
            self._trim_padding()
            return
        self._phase = Phase.ONSET
        self._onset_samples += FRAME_SAMPLES
        if self._onset_samples >= _samples(self.settings.onset_ms):
            self._start()

    def _start(self) -> None:
        audio = np.concatenate(self._held)
        wanted = self._onset_samples + _samples(self.settings.prefix_padding_ms)
        audio = audio[-wanted:]
        self._say(
            SpeechStarted(
                audio_start_ms=_ms(self._position - len(audio)),
                speech_start_ms=_ms(self._position - self._onset_samples),
            )
        )
        self._recent.extend(self._held)
        self._held.clear()
        self._audio.append(audio)
        self._quiet_from = None
        self._goes_on = False
        self._phase = Phase.SPEECH
        self._onset_samples = self._silence_samples = 0
        self._turn_samples = len(audio)

    def _follow(self, frame: Samples, is_speech: bool) -> None:
        self._audio.append(frame)
        self._turn_samples += FRAME_SAMPLES
        self._silence_samples = 0 if is_speech else self._silence_samples + FRAME_SAMPLES
        if is_speech:
            return
        if self._is_over():
            self._stop()
        elif self._silence_samples >= _samples(self.settings.pause_ms):
            self._say(SpeechPaused(at_ms=_ms(self._position)))
            self._phase = Phase.PAUSE

    def _hold(self, frame: Samples, is_speech: bool) -> None:
        self._held.append(frame)
        self._turn_samples += FRAME_SAMPLES
        if is_speech:
            self._say(SpeechResumed(at_ms=_ms(self._position - FRAME_SAMPLES)))
            self._audio += self._held
            self._held.clear()
            self._silence_samples = 0
            self._goes_on = False
            self._phase = Phase.SPEECH
            return
        self._silence_samples += FRAME_SAMPLES
        if self._is_over():
            self._stop()

    def _is_over(self) -> bool:
        """Whether the silence so far ends the turn."""
        settings = self.settings
        if self._silence_samples < _samples(settings.silence_duration_ms):
            return False
        if settings.max_wait_ms is None or self.judge is None:
            return True
        if not self._goes_on:
            probability = self.judge.probability(np.concatenate(self._recent))
            self._goes_on = probability < WHOLE_TURN
        return not self._goes_on or self._silence_samples >= _samples(settings.max_wait_ms)

    def _count_quiet(self, frame: Samples) -> None:
        timeout_ms = self.settings.idle_timeout_ms
        if self._quiet_from is None or timeout_ms is None or self.is_open:
            return
        if self._position - FRAME_SAMPLES < self._quiet_from:
            return
        self._quiet.append(frame)
        heard_samples = len(self._quiet) * FRAME_SAMPLES
        if heard_samples >= _samples(timeout_ms) and self._phase is Phase.IDLE:
            self._say(
                IdleTimeout(
                    audio_start_ms=_ms(self._position - heard_samples),
                    audio_end_ms=_ms(self._position),
                    pcm=np.concatenate(self._quiet).astype("<f4").tobytes(),
                )
            )
            self._quiet_from = None
            self._held.clear()  # it has been given out

    def _stop(self) -> None:
        speech_end = self._position - self._silence_samples
        self._say(SpeechStopped(audio_end_ms=_ms(self._position), speech_end_ms=_ms(speech_end)))
        self._phase = Phase.IDLE
        self._onset_samples = 0
        self._recent.clear()
        self._trim_padding()

    def _trim_padding(self) -> None:
        """Keep no more than the padding needs, up to a whole frame."""
        most = -(-_samples(self.settings.prefix_padding_ms) // FRAME_SAMPLES)
        while len(self._held) > most:
            self._held.popleft()

    def _say(self, event: TurnEvent) -> None:
        self._close_audio()
        self._events.append(event)

    def _close_audio(self) -> None:
        if self._audio:
            pcm = np.concatenate(self._audio).astype("<f4").tobytes()
            self._audio = []
            if pcm:
                self._events.append(TurnAudio(pcm=pcm))

    def _given_out(self) -> list[TurnEvent]:
        self._close_audio()
        events, self._events = self._events, []
        return events


def _samples(duration_ms: int) -> int:
    return duration_ms * RATE_HZ // 1000


def _ms(samples: int) -> int:
    return samples * 1000 // RATE_HZ
