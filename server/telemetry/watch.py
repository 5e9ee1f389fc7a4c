"""One conversation's clocks: what its ear, its events, its commands and its sound mean for them.

Knows the moments at which things pass through the gateway, and which of them begin and end what is
measured (docs/metrics.md). Does not know metrics, traces or pages: a `Recorder` is told what came
of it. Nothing here holds anything up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sized
from functools import partial
from typing import Any

from server.outbox import Sent
from server.telemetry import wire
from server.telemetry.barge_in import SHORT_MS, BargeIn
from server.telemetry.content_log import ContentLog
from server.telemetry.names import TURN_DETECTIONS, Transport, TurnDetection
from server.telemetry.player import Player
from server.telemetry.playing import Playing
from server.telemetry.recorder import Recorder
from server.telemetry.reply_watch import ReplyWatch, Turn, is_question
from streaming.engine.messages.events import (
    AudioDelta,
    Event,
    InputTranscript,
    ResponseDone,
    TextDelta,
    ToolCallDone,
)
from streaming.media.codecs import AUDIBLE, is_silent
from streaming.media.playout import Frame
from streaming.protocol.commands import Aside, CancelResponse, Command, CreateItem, StartResponse


class ConversationWatch:
    """Implements `server.telemetry.ear.Hearing`; times one conversation over one transport.

    Attributes:
        arrived_s: When that of the client arrived which is taken now.
        outbox: What waits to be sent to the client, where anything does.
        turns: Spoken turns so far.
        last_ttfa_s: What the caller felt of the last one that was answered aloud.
    """

    def __init__(
        self,
        recorder: Recorder,
        transport: Transport,
        content: ContentLog,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.transport = transport
        self.conversation_id = ""
        self.arrived_s = clock()
        self.outbox: Sized | None = None
        self.turns = 0
        self.last_ttfa_s: float | None = None
        self._recorder = recorder
        self._content = content
        self._clock = clock
        self._hz = 0
        self._opened_s: float | None = None
        self._end_reason = "server_error"
        self._detection: TurnDetection = "none"
        self._interrupts = False
        self._replies: dict[str, ReplyWatch] = {}
        self._turn: Turn | None = None  # that waits for an answer
        self._barge_in: BargeIn | None = None
        self._player: Player | None = None  # of the reply that was sent last
        self._playing = Playing()  # a loudspeaker of ours
        self._bytes_per_s: dict[str, int] = {}
        self._at_end: list[Callable[[], None]] = []

    # --- the session ------------------------------------------------------------------------------

    def opened(self, conversation_id: str) -> None:
        """The engine has taken the conversation."""
        self.conversation_id = conversation_id
        self._hz = self._recorder.engine().output_sample_rate_hz
        self._opened_s = self._clock()
        self._recorder.opened(self)

    def ends(self, reason: str) -> None:
        """Says why the session is about to be over: the code of an error, or a word for none."""
        self._end_reason = reason

    def at_end(self, action: Callable[[], None]) -> None:
        """Has something done when the session is over, also one that the engine never took."""
        self._at_end.append(action)

    def closed(self) -> None:
        """The session is over; what was under way is given up."""
        while self._at_end:
            self._at_end.pop()()
        if self._opened_s is None:
            return
        for response_id in list(self._replies):
            self._finish(response_id)
        self._recorder.closed(self, self._end_reason, self._clock() - self._opened_s)
        self._opened_s = None

    @property
    def age_s(self) -> float:
        """How long it has been open."""
        return 0.0 if self._opened_s is None else self._clock() - self._opened_s

    @property
    def state(self) -> str:
        """What goes on: `answering`, `speaking` (what was made is heard) or `listening`."""
        if any(reply.is_made for reply in list(self._replies.values())):
            return "answering"
        return "speaking" if self._sounds() else "listening"

    # --- the user's speech ------------------------------------------------------------------------

    def now_s(self) -> float:
        """Returns the moment, for `arrived_s`."""
        return self._clock()

    def speech_started(self, onset_s: float) -> None:
        """Speech has opened a turn."""
        self._barge_in = None
        reply = next((r for r in list(self._replies.values()) if r.is_made), None)
        sounds = self._sounds()
        if self._interrupts and (reply is not None or sounds):
            was_heard = sounds or (reply is not None and reply.first_sent_s is not None)
            self._barge_in = BargeIn(onset_s, was_heard)
            self._recorder.barged_in(self.transport)

    def speech_stopped(self, end_s: float, speech_ms: int) -> None:
        """A turn has ended with `speech_ms` from its first to its last sound."""
        now_s = self._clock()
        self._recorder.turn_ended(self.transport, self._detection, now_s - end_s)
        self._turn = Turn(end_s=end_s, decided_s=now_s, turn_detection=self._detection)
        self.turns += 1
        if self._barge_in is not None:
            self._barge_in.is_over = True
            if speech_ms < SHORT_MS:
                self._false_interruption("short")

    def speech_committed(self, end_s: float) -> None:
        """The client has ended a turn."""
        self._recorder.turn_ended(self.transport, "none", None)
        self._turn = Turn(end_s=end_s, decided_s=self._clock(), turn_detection="none")
        self.turns += 1

    # --- what goes to the engine and comes from it ------------------------------------------------

    def commanded(self, command: Command) -> None:
        """The session's command is about to go to the engine."""
        self._content.commanded(command)
        match command:
            case StartResponse(response_id=name):
                self._replies[name] = ReplyWatch(name, self._clock(), self._turn)
                self._turn = None
            case CreateItem(role="user", parts=parts) if any(map(is_question, parts)):
                self._turn = None  # what is asked for next answers this
            case Aside(response_id=name, command=StartResponse()):
                self._replies[name] = ReplyWatch(name, self._clock())
            case (
                CancelResponse(response_id=name) | Aside(response_id=name, command=CancelResponse())
            ):
                if name in self._replies:
                    self._replies[name].cancelled_s = self._clock()

    def heard(self, message: Event) -> None:
        """The engine has said something of the conversation."""
        self._content.heard(message)
        match message:
            case TextDelta() | AudioDelta() | ToolCallDone() | ResponseDone():
                reply = self._replies.get(message.response_id)
                if reply is not None:
                    reply.take(message, self._clock(), self._hz)
                    self._turn = self._turn or reply.leaves_unanswered
            case InputTranscript(item_id=item, text=text):
                barge_in = self._barge_in
                if barge_in is not None and barge_in.item_id == item and not text.strip():
                    self._false_interruption("no_words")

    # --- what goes to the client ------------------------------------------------------------------

    def noted(self, event: wire.Event) -> Sent | None:
        """An event is about to be queued; returns what is to be called when it is on its way."""
        match event["type"]:
            case kind if kind in wire.SESSION:
                self._follow(wire.detection_of(event))
            case "response.created":
                self._bytes_per_s[event["response"]["id"]] = wire.bytes_per_s(event)
            case kind if kind in wire.SOUND:
                name = event["response_id"]
                sound_s = wire.sound_s(event, self._bytes_per_s[name])
                return partial(self._sound_sent, name, sound_s)
            case "response.done":
                return partial(self.finished, event["response"]["id"])
            case "output_audio_buffer.stopped" | "output_audio_buffer.cleared":
                self._played_out(event["response_id"])
            case "input_audio_buffer.speech_started":
                return self._speech_told(event["item_id"])
            case "input_audio_buffer.cleared":
                if self._barge_in is not None and not self._barge_in.is_over:
                    self._false_interruption("dropped")
        return None

    def pushed(self, response_id: str) -> None:
        """A loudspeaker of ours was given some of a reply."""
        if response_id in self._replies:
            self._replies[response_id].is_pushed = True

    def played(self, frame: Frame) -> None:
        """A loudspeaker of ours has played a frame."""
        now_s = self._clock()
        audible = not is_silent(frame.pcm, level=AUDIBLE)
        late_s = self._playing.played(audible=audible, now_s=now_s)
        if late_s is not None:
            self._recorder.silenced(self.transport, late_s)
        for name in frame.started:
            self._playing.response_id = name
            if name in self._replies:
                self._replies[name].played(audible=audible, missing_s=0.0, now_s=now_s)
        reply = self._replies.get(self._playing.response_id or "")
        if reply is not None:
            reply.played(audible=audible, missing_s=frame.missing_ms / 1000, now_s=now_s)
        if self._playing.response_id in frame.stopped:
            self._playing.response_id = None

    def finished(self, response_id: str) -> None:
        """The client has been told of the end of a reply."""
        reply = self._replies.get(response_id)
        if reply is None:
            self._bytes_per_s.pop(response_id, None)  # it was cancelled before it was asked for
        else:
            reply.is_told = True
            self._settle(reply)

    # --- what follows -----------------------------------------------------------------------------

    def _sounds(self) -> bool:
        """Whether the client hears a reply, as far as can be known."""
        if self.transport == "webrtc":
            return self._playing.response_id is not None
        return self._player is not None and self._player.plays(self._clock())

    def _follow(self, detection: dict[str, Any] | None) -> None:
        self._interrupts = detection is not None and detection.get("interrupt_response", True)
        kind = None if detection is None else detection["type"]
        self._detection = next((name for name in TURN_DETECTIONS if name == kind), "none")

    def _sound_sent(self, response_id: str, sound_s: float) -> None:
        reply = self._replies.get(response_id)
        if reply is not None:
            reply.sent(sound_s, self._clock())
            self._player = reply.player

    def _speech_told(self, item_id: str) -> Sent | None:
        """The client is about to be told of speech; it silences a loudspeaker of its own."""
        barge_in = self._barge_in
        if barge_in is None or barge_in.item_id is not None:
            return None
        barge_in.item_id = item_id
        if self.transport != "webrtc":
            return partial(self._silenced, barge_in)
        if barge_in.was_heard:
            self._playing.silence(barge_in.onset_s)  # what waited is thrown out by now
        return None

    def _silenced(self, barge_in: BargeIn) -> None:
        self._player = None
        if barge_in.was_heard:
            self._recorder.silenced(self.transport, self._clock() - barge_in.onset_s)

    def _false_interruption(self, reason: str) -> None:
        self._barge_in = None
        self._recorder.interrupted_falsely(self.transport, reason)

    def _played_out(self, response_id: str) -> None:
        reply = self._replies.get(response_id)
        if reply is not None:
            reply.is_played_out = True
            self._settle(reply)
        if self._playing.response_id == response_id:
            self._playing.response_id = None

    def _settle(self, reply: ReplyWatch) -> None:
        """Reports a reply whose end is told, and whose sound, if we play it, is over."""
        if reply.is_told and (reply.is_played_out or not reply.is_pushed):
            self._finish(reply.response_id)

    def _finish(self, response_id: str) -> None:
        reply = self._replies.pop(response_id)
        self._bytes_per_s.pop(response_id, None)
        model_id, now_s = self._recorder.engine().model_id, self._clock()
        report = reply.report(self.conversation_id, model_id, self.transport, now_s)
        if report.ttfa_s is not None:
            self.last_ttfa_s = report.ttfa_s
        self._recorder.reply_ended(report)
