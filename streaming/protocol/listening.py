"""What a session hears and sees of its user, on the way into turns.

Knows the input's options, its buffer, and which words of the ear begin, pause and end a turn. What
a turn leads to is the session's business: it is told when somebody begins to speak and when a turn
is committed. Does not know samples.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from streaming.media.formats import AudioFormat
from streaming.media.video import Pixels
from streaming.protocol import client_events as client
from streaming.protocol.engine_events import Failure
from streaming.protocol.errors import CapabilityError
from streaming.protocol.input_buffer import InputBuffer
from streaming.protocol.items import Item
from streaming.protocol.session_options import SemanticVad, SessionConfig
from streaming.protocol.shared import Shared
from streaming.protocol.sight import Sight
from streaming.protocol.wire_audio import audio_format, decode_audio
from streaming.protocol.wire_image import decoded, looked_at
from streaming.turns.errors import NoJudgeError
from streaming.turns.events import (
    IdleTimeout,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    SpeechStopped,
    TurnAudio,
    TurnEvent,
)


class TurnsPort(Protocol):
    """What is told of the user's turns."""

    def speech_began(self) -> None:
        """Somebody has begun to speak."""

    def turn_ended(self, item: Item, *, by_voice: bool) -> None:
        """A turn is committed: by what the ear heard, or by the client."""


class Listening:
    """The input side of one session.

    Attributes:
        denoises: Whether noise can be taken off what is heard.
        sight: what the camera sees, for the items that are made of it.
    """

    def __init__(self, shared: Shared, turns: TurnsPort) -> None:
        self._outbox = shared.outbox
        self._ear = shared.ports.ear
        self._eye = shared.ports.eye
        self._profile = shared.profile
        self._limits = shared.limits
        self._turns = turns
        self._config = config = shared.options.config
        ear = shared.ports.ear
        self.sight = Sight(shared.outbox, shared.limits, lambda: ear.position_ms)
        self._input = InputBuffer(shared, self.sight)
        ear.set_turn_detection(config.vad(shared.limits))
        self.denoises = ear.set_noise_reduction(config.noise_level)

    @property
    def judges_turns(self) -> bool:
        """Whether a model ends the turns, so that a little audio may take long."""
        return isinstance(self._config.audio.input.turn_detection, SemanticVad)

    @property
    def turn(self) -> int:
        """How many turns are over: committed, dropped or refused."""
        return self._input.turn

    @property
    def wire(self) -> AudioFormat:
        """The format in which clients send sound."""
        return audio_format(self._config.audio.input.format)

    def configure(self, config: SessionConfig) -> None:
        """Listen as these options say from now on.

        Raises:
            CapabilityError: They want turns judged, and there is no judge; nothing has changed.
        """
        vad = config.vad(self._limits)
        if vad != self._config.vad(self._limits):
            try:
                self._ear.set_turn_detection(vad)
            except NoJudgeError as error:
                param = "session.audio.input.turn_detection.type"
                raise CapabilityError(str(error), param) from None
            if (vad is None) != (self._config.vad(self._limits) is None):
                self._input.end_refused()  # the next turn is another's to end
        self.denoises = self._ear.set_noise_reduction(config.noise_level)
        self._config = config

    def append_audio(self, event: client.AudioAppend) -> None:
        """More of what the microphone hears."""
        self.take_audio(decode_audio(event.audio, self.wire, param="audio"), self.wire)

    def append_image(self, event: client.ImageAppend) -> None:
        """What the camera sees now, as a file."""
        self._profile.require("video", param="image")
        data = decoded(event.image, param="image")
        self.sight.receive(looked_at(lambda: self._eye.frame(data), param="image"))

    def take_audio(self, audio: bytes, wire: AudioFormat) -> None:
        """More of what is heard, as samples.

        Raises:
            ProtocolError: The model does not listen, or the buffer is full.
        """
        self._profile.require("audio", param="audio")
        if self._config.audio.input.turn_detection is None:
            self._input.receive(len(audio), wire)
        self._hear(self._ear.hear(audio, wire))

    def take_picture(self, pixels: Pixels) -> None:
        """What a live camera sees now; one that the model has no eyes for is not looked at."""
        if "video" in self._profile.inputs:
            self.sight.receive(pixels)

    def commit(self, event: client.AudioCommit) -> None:
        """The client ends the turn.

        Raises:
            ProtocolError: There is too little of it, or it was refused while it was spoken; then it
                is over, and the next may be taken.
        """
        if (refusal := self._input.end_refused()) is not None:
            self._ear.clear()
            raise refusal
        self._input.check_commit()
        self._hear(self._ear.end())
        self._turns.turn_ended(self._input.commit(), by_voice=False)

    def clear(self, event: client.AudioClear) -> None:
        """The client takes the open turn back."""
        self._ear.clear()
        self._input.clear()
        self._outbox.event("input_audio_buffer.cleared")

    def lose(self, item_id: str, failure: Failure) -> bool:
        """The engine gave an item up; says if it is the open turn, whose rest is then ignored."""
        return self._input.lose(item_id, failure)

    def _hear(self, heard: Iterable[TurnEvent]) -> None:
        for event in heard:
            match event:
                case TurnAudio(pcm=pcm):
                    self._input.add(pcm, self._ear.position_ms)
                case SpeechStarted(audio_start_ms=start_ms):
                    self._input.start(start_ms)
                    self._turns.speech_began()
                case SpeechPaused():
                    self._input.pause()
                case SpeechResumed():
                    pass  # the audio that follows takes the pause back
                case SpeechStopped(audio_end_ms=end_ms):
                    if self._input.stop(end_ms):
                        self._turns.turn_ended(self._input.commit(), by_voice=True)
                case IdleTimeout(audio_start_ms=start_ms, audio_end_ms=end_ms, pcm=pcm):
                    if self._input.time_out(start_ms, end_ms, pcm):
                        self._turns.turn_ended(self._input.commit(), by_voice=True)
