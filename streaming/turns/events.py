"""What the turn detector says, and the settings it takes; data only.

Times are milliseconds of audio received since the session began, never the wall clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from streaming.turns.errors import TurnSettingsError


@dataclass(frozen=True, slots=True, kw_only=True)
class VadSettings:
    """How voice activity becomes turns.

    Attributes:
        threshold: Speech probability, 0 to 1, from which a frame counts as speech.
        prefix_padding_ms: Audio before the first speech frame that still belongs to the turn.
        silence_duration_ms: Silence that ends the turn; with `max_wait_ms`, after which its end is
            judged by its sound.
        max_wait_ms: Silence that ends a turn that was judged to go on; None, and nothing is judged.
        idle_timeout_ms: Silence after a reply for which `IdleTimeout` is said; None for never.
        pause_ms: Silence after which `SpeechPaused` hints that the end may be near; from there on
            audio is held back until the turn goes on or ends.
        onset_ms: Speech that must be there before a turn opens, so that a click opens none.
        max_turn_ms: Length at which a turn is ended whatever is said.
    """

    threshold: float = 0.5
    prefix_padding_ms: int = 300
    silence_duration_ms: int = 500
    pause_ms: int = 128
    onset_ms: int = 64
    max_turn_ms: int = 120_000
    max_wait_ms: int | None = None
    idle_timeout_ms: int | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.threshold <= 1.0:
            raise TurnSettingsError(f"threshold {self.threshold} is not between 0 and 1")
        names = ("prefix_padding_ms", "silence_duration_ms", "pause_ms", "onset_ms")
        for name in (*names, "max_wait_ms", "idle_timeout_ms"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise TurnSettingsError(f"{name} {value} is below 0")
        if self.max_turn_ms < 1:
            raise TurnSettingsError(f"max_turn_ms {self.max_turn_ms} is below 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnAudio:
    """Audio of the open turn; `pcm` is float32 LE, 16 kHz, mono."""

    pcm: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechStarted:
    """A turn opens; the audio that follows begins at `audio_start_ms` (padding included).

    `speech_start_ms` is where the speech itself began.
    """

    audio_start_ms: int
    speech_start_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechPaused:
    """Silence has begun; the turn may end here. Its audio so far has been given out."""

    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechResumed:
    """The pause was none: the audio that was held back follows."""

    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechStopped:
    """The turn has ended; `audio_end_ms` includes the silence that ended it.

    `speech_end_ms` is where the last of its speech ended.
    """

    audio_end_ms: int
    speech_end_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleTimeout:
    """Nothing was said after a reply for as long as may be; `pcm` is what was heard meanwhile."""

    audio_start_ms: int
    audio_end_ms: int
    pcm: bytes


TurnEvent: TypeAlias = (
    TurnAudio | SpeechStarted | SpeechPaused | SpeechResumed | SpeechStopped | IdleTimeout
)
