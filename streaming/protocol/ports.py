"""What a session is given: an ear, a mouth and an eye, and the word of who counts its requests.

They compute and never wait, so the session stays sans-I/O; tests give scripted ones. The real
ones are `streaming.turns.ear.Ear`, `streaming.media.mouth.Mouth` and `streaming.media.eye.Eye`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from streaming.media.formats import AudioFormat
from streaming.media.video import Pixels
from streaming.protocol.limits import RateLeft
from streaming.turns.events import TurnEvent, VadSettings

# What the client has left now of each allowance in time that is in force.
RatesPort: TypeAlias = Callable[[], Sequence[RateLeft]]


class EarPort(Protocol):
    """Turns wire audio into 16 kHz float32 audio and, with turn detection on, into turns."""

    def set_turn_detection(self, settings: VadSettings | None) -> None:
        """Detect turns with `settings`, or (None) take all audio as the open turn's.

        Raises:
            NoJudgeError: The settings want what this ear cannot do; nothing has changed.
        """

    def set_noise_reduction(self, level: int) -> bool:
        """Take noise off what is heard from now on, 1 to 4 strong; 0 is not at all.

        Returns:
            Whether this ear can do that.
        """

    @property
    def position_ms(self) -> int:
        """Audio received."""

    def expect_speech(self, after_ms: int) -> None:
        """A reply is over; its sound will have been heard in `after_ms` from now."""

    def hear(self, audio: bytes, audio_format: AudioFormat) -> list[TurnEvent]:
        """Take the next audio of the input; what it means, in order."""

    def end(self) -> list[TurnEvent]:
        """Give out what is held back, since the open turn ends here; then start afresh."""

    def clear(self) -> None:
        """Forget what is held back and any open turn; time goes on."""

    def convert(self, audio: bytes, audio_format: AudioFormat) -> bytes:
        """A whole clip as float32 LE, 16 kHz, mono."""


class MouthPort(Protocol):
    """Turns the engine's 24 kHz PCM into the wire format of one response at a time."""

    @property
    def has_formats(self) -> bool:
        """Whether the format makes a difference; it does not where a line has one of its own."""

    def start(self, audio_format: AudioFormat) -> None:
        """Begin a response's audio."""

    def speak(self, pcm: bytes) -> bytes:
        """The next wire bytes for the next s16 LE 24 kHz samples; may be empty."""

    def finish(self) -> bytes:
        """The tail that was still inside."""


class EyePort(Protocol):
    """Decodes pictures, within bounds of its own.

    Raises:
        FrameError: No picture, or one beyond a limit; says which.
    """

    def image(self, data: bytes, *, low: bool = False) -> Pixels:
        """A still image, from a file in memory; one of `low` detail may be scaled down."""

    def frame(self, data: bytes) -> Pixels:
        """A camera's picture, as large as the model sees one at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """All that one session is given.

    Attributes:
        ear: Hears its user.
        mouth: Speaks in the conversation.
        eye: Looks at its user's pictures.
        new_mouth: Makes one for each response that is spoken beside the conversation; without it
            such responses are only written.
        rates: Says what the client has left of its allowances.
    """

    ear: EarPort
    mouth: MouthPort
    eye: EyePort
    new_mouth: Callable[[], MouthPort] | None = None
    rates: RatesPort = list
