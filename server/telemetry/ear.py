"""An ear that somebody watches: it hears what the ear inside it hears, and tells of the moments.

Knows the ear's port and which of its words matter to a clock. Does not know what is measured.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from server.telemetry.arrivals import Arrivals
from streaming.media.formats import AudioFormat
from streaming.protocol.ports import EarPort
from streaming.turns.events import SpeechStarted, SpeechStopped, TurnEvent, VadSettings


class Hearing(Protocol):
    """What is told of the user's speech; moments are those of its arrival."""

    arrived_s: float

    def speech_started(self, onset_s: float) -> None:
        """Speech has opened a turn."""

    def speech_stopped(self, end_s: float, speech_ms: int) -> None:
        """A turn has ended with `speech_ms` from its first to its last sound."""

    def speech_committed(self, end_s: float) -> None:
        """The client has ended a turn."""

    def at_end(self, action: Callable[[], None]) -> None:
        """Has something done when the session is over."""


class WatchedEar:
    """Implements `streaming.protocol.ports.EarPort` with another one."""

    def __init__(self, ear: EarPort, hearing: Hearing) -> None:
        self._ear = ear
        self._hearing = hearing
        self._arrivals = Arrivals()
        self._speech_start_ms = 0
        hearing.at_end(self._forget_detection)

    @property
    def position_ms(self) -> int:
        """Audio received."""
        return self._ear.position_ms

    def set_turn_detection(self, settings: VadSettings | None) -> None:
        """Passes the settings on."""
        self._ear.set_turn_detection(settings)

    def set_noise_reduction(self, level: int) -> bool:
        """Passes it on."""
        return self._ear.set_noise_reduction(level)

    def expect_speech(self, after_ms: int) -> None:
        """Passes it on."""
        self._ear.expect_speech(after_ms)

    def hear(self, audio: bytes, audio_format: AudioFormat) -> list[TurnEvent]:
        """Takes the next audio of the input, and tells of what speech began and ended in it."""
        events = self._ear.hear(audio, audio_format)
        self._arrivals.took(self._ear.position_ms, self._hearing.arrived_s)
        for event in events:
            match event:
                case SpeechStarted(speech_start_ms=start_ms):
                    self._speech_start_ms = start_ms
                    self._hearing.speech_started(self._moment_s(start_ms))
                case SpeechStopped(speech_end_ms=end_ms):
                    speech_ms = end_ms - self._speech_start_ms
                    self._hearing.speech_stopped(self._moment_s(end_ms), speech_ms)
        return events

    def end(self) -> list[TurnEvent]:
        """Gives out what is held back: the client ends the turn here."""
        self._hearing.speech_committed(self._hearing.arrived_s)
        return self._ear.end()

    def clear(self) -> None:
        """Passes it on."""
        self._ear.clear()

    def convert(self, audio: bytes, audio_format: AudioFormat) -> bytes:
        """Passes it on."""
        return self._ear.convert(audio, audio_format)

    def _forget_detection(self) -> None:
        # Megabytes outside of Python's memory, which would else wait for the session's cycles to be
        # collected: once in hundreds of sessions.
        self._ear.set_turn_detection(None)

    def _moment_s(self, position_ms: int) -> float:
        moment_s = self._arrivals.moment_s(position_ms)
        return self._hearing.arrived_s if moment_s is None else moment_s
