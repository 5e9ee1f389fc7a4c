"""A session on a live line, as WebRTC is one: the server holds the loudspeaker.

A layer around `RealtimeSession` with the same words. Sound that goes out is not an event here but
goes to a loudspeaker, which is told of in `output_audio_buffer.started`, `.stopped` and `.cleared`;
and because the server knows what was played, it is the server that cuts a reply to that when the
user speaks into it or the client clears the buffer.

Knows the order of those events. Does not know packets, clocks or codecs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import orjson

from streaming.media.codecs import is_silent
from streaming.media.formats import AudioFormat
from streaming.media.playout import Cut
from streaming.media.video import Pixels
from streaming.protocol.commands import Command
from streaming.protocol.engine_events import EngineEvent, ReplyAudio, ReplyDone
from streaming.protocol.layer import SessionLayer, is_event
from streaming.protocol.outbox import random_id
from streaming.protocol.session import RealtimeSession

Event = dict[str, Any]

CLEAR = "output_audio_buffer.clear"


class LoudspeakerPort(Protocol):
    """Plays replies one behind the other; the real one is `streaming.media.playout.Playout`."""

    def push(self, response_id: str, pcm: bytes) -> None:
        """Add sound of a reply (s16 LE, 24 kHz, mono)."""

    def finish(self, response_id: str) -> None:
        """A reply has no more sound than was pushed."""

    def clear(self) -> list[Cut]:
        """Throw out what waits; what was played of each reply that was not played wholly."""


class LiveMouth:
    """Implements `streaming.protocol.ports.MouthPort`: keeps the sound from becoming an event."""

    has_formats = False

    def __init__(self) -> None:
        self._said = bytearray()

    def start(self, audio_format: AudioFormat) -> None:
        """Begin a response's audio; the line has a format of its own."""

    def speak(self, pcm: bytes) -> bytes:
        """Keep the samples; nothing goes to the wire."""
        self._said += pcm
        return b""

    def finish(self) -> bytes:
        """There is no tail."""
        return b""

    def take(self) -> bytes:
        """What was said since the last call."""
        said = bytes(self._said)
        self._said.clear()
        return said


class LiveSession(SessionLayer):
    """The protocol's side of one conversation whose sound the server plays."""

    def __init__(
        self, session: RealtimeSession, mouth: LiveMouth, loudspeaker: LoudspeakerPort
    ) -> None:
        """Takes a session that was made with `mouth`."""
        super().__init__(session)
        self._mouth = mouth
        self._loudspeaker = loudspeaker
        self._events: list[Event] = []
        # Events that this layer sends into the session have ids that no client can guess.
        self._own = random_id("live")
        self._interrupts = True
        self._is_manual = False
        # Of the user's turns, where the client decides them:
        self._begun_turn: int | None = None  # the one in which there has been sound
        self._refused_turn: int | None = None  # the one whose sound was refused, and that was said
        self._items: dict[str, str] = {}  # of the replies that are not wholly played
        self._announced: set[str] = set()
        self._muted: str | None = None
        self._last_id: str | None = None
        self._settle()

    def snapshot(self) -> dict[str, Any]:
        """The session and the items it holds."""
        return self._session.snapshot()

    def receive_event(self, frame: str | bytes) -> None:
        """Take one client frame; a mistake in it becomes an `error` event."""
        if is_event(frame, CLEAR):
            self._clear()
        else:
            self._session.receive_event(frame)
        self._settle()

    def receive_audio(self, audio: bytes, audio_format: AudioFormat) -> None:
        """Take what the microphone heard (s16 LE).

        A live microphone never stops. Where the client decides the turns, a turn begins with the
        first sound that is no silence, and what is refused of one (it is too long) is refused once
        and not 50 times a second.
        """
        turn = self._session.input_turn
        if self._is_manual:
            if turn == self._refused_turn or (turn != self._begun_turn and is_silent(audio)):
                return
            self._begun_turn = turn
        if not self._session.receive_audio(audio, audio_format):
            self._refused_turn = turn
        self._settle()

    def receive_picture(self, pixels: Pixels) -> None:
        """Take what the camera sees now."""
        self._session.receive_picture(pixels)

    def receive_engine(self, event: EngineEvent) -> None:
        """Take what the engine said."""
        self._session.receive_engine(event)
        if isinstance(event, ReplyDone):
            # Speech at another speed has a tail, which comes before the end is told.
            self._play(event.response_id)
        self._settle()
        if isinstance(event, ReplyAudio):
            self._play(event.response_id)

    def _play(self, response_id: str) -> None:
        said = self._mouth.take()
        if said and response_id != self._muted:
            self._loudspeaker.push(response_id, said)

    def receive_playout(self, started: Iterable[str], stopped: Iterable[str]) -> None:
        """Take what the loudspeaker has begun and ended to play."""
        for response_id in started:
            self._announce(response_id)
        for response_id in stopped:
            if self._items.pop(response_id, None) is not None:
                self._announced.discard(response_id)
                self._event("output_audio_buffer.stopped", response_id)

    def events_to_send(self) -> list[Event]:
        """The server events since the last call, in order."""
        events, self._events = self._events, []
        return events

    def commands(self) -> Iterator[Command]:
        """The commands since the last call, in order; each is handed out once."""
        return self._session.commands()

    def _settle(self) -> None:
        """Takes over the session's events; what they lead to here may lead to more there."""
        while events := self._session.events_to_send():
            for event in events:
                if not self._is_of_own(event):
                    self._events.append(event)
                self._react(event)

    def _react(self, event: Event) -> None:
        match event["type"]:
            case "session.created" | "session.updated":
                detection = event["session"]["audio"]["input"]["turn_detection"]
                self._is_manual = detection is None
                self._interrupts = detection is not None and detection["interrupt_response"]
            case "input_audio_buffer.speech_started" if self._interrupts:
                self._flush()
            case "response.content_part.added" if event["part"]["type"] == "audio":
                self._items[event["response_id"]] = event["item_id"]
                self._last_id = event["response_id"]
            case "response.done":
                self._loudspeaker.finish(event["response"]["id"])

    def _clear(self) -> None:
        """The client wants silence: what is left of the reply is not played either."""
        self._muted = self._last_id
        if not self._flush() and self._last_id is not None:
            self._event("output_audio_buffer.cleared", self._last_id)

    def _flush(self) -> bool:
        """Silences the loudspeaker and cuts its replies; says whether there was anything."""
        cuts = self._loudspeaker.clear()
        for cut in cuts:
            if cut.played_ms:
                self._announce(cut.response_id)
            self._announced.discard(cut.response_id)
            self._event("output_audio_buffer.cleared", cut.response_id)
            item_id = self._items.pop(cut.response_id, None)
            if item_id is not None:
                self._truncate(item_id, cut.played_ms)
        return bool(cuts)

    def _truncate(self, item_id: str, audio_end_ms: int) -> None:
        event = {
            "type": "conversation.item.truncate",
            "event_id": self._own,
            "item_id": item_id,
            "content_index": 0,
            "audio_end_ms": audio_end_ms,
        }
        self._session.receive_event(orjson.dumps(event))

    def _announce(self, response_id: str) -> None:
        if response_id in self._items and response_id not in self._announced:
            self._announced.add(response_id)
            self._event("output_audio_buffer.started", response_id)

    def _event(self, kind: str, response_id: str) -> None:
        event_id = random_id("event")
        self._events.append({"type": kind, "event_id": event_id, "response_id": response_id})

    def _is_of_own(self, event: Event) -> bool:
        """An item may be gone that was to be cut, and that is no news to the client."""
        return bool(event["type"] == "error" and event["error"]["event_id"] == self._own)
