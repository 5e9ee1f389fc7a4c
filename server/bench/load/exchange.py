"""A question and its answer, as a caller sees them come in.

Knows what events and sounds mean for the times that are measured, on either kind of line. Does not
know lines, nor when a caller speaks.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from clients.python.client import Event
from clients.python.turn import TurnLog
from server.bench.load.speech import Saying

# A pause in the sound of a call above this is an underrun: a player that keeps a tenth of a second
# would have been dry. What the model itself says silently is noise, not digital silence.
GAP_S = 0.1


@dataclass(slots=True)
class Heard:
    """The sound of a reply that the server plays.

    Attributes:
        first_s: When it began; None before.
        last_s: When its latest sound came.
        received_s: Seconds of it, silence left out.
        gaps: Pauses in it longer than `GAP_S`.
        gap_s: Their length.
    """

    first_s: float | None = None
    last_s: float = 0.0
    received_s: float = 0.0
    gaps: int = 0
    gap_s: float = 0.0

    def take(self, duration_s: float, now_s: float) -> None:
        """Takes sound that came at `now_s`."""
        if self.first_s is None:
            self.first_s = now_s
        elif now_s - self.last_s > GAP_S:
            self.gaps += 1
            self.gap_s += now_s - self.last_s
        self.last_s = now_s
        self.received_s += duration_s


@dataclass(slots=True)
class Exchange:
    """One turn of one caller.

    Attributes:
        server_plays: Which kind of line it is.
        interrupts: The turn whose reply this one speaks into.
        log: What the events said.
        heard: What sounded, on a call.
        sounding: Set while the reply has had a sound, or is over without one.
        answered: Set once the reply is complete; on a call, and played.
        onset_heard_s: When the server said that it hears this question.
        item_id: Of the reply.
        made_at_s: When the server said that it has made all of the reply's sound.
    """

    server_plays: bool
    interrupts: Exchange | None = None
    log: TurnLog = field(default_factory=lambda: TurnLog(transcript_closed=True))
    heard: Heard = field(default_factory=Heard)
    sounding: asyncio.Event = field(default_factory=asyncio.Event)
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    onset_heard_s: float | None = None
    item_id: str | None = None
    made_at_s: float | None = None
    _stopped: str | None = None

    @property
    def first_sound_s(self) -> float | None:
        """When the reply's first sound came."""
        return self.heard.first_s if self.server_plays else self.log.playout.first_s

    @property
    def _spoken_into(self) -> Exchange | None:
        """Whose reply it is that still sounds: before this turn has one, the one spoken into."""
        return self.interrupts if self.log.response_id is None else None

    def take_event(self, event: Event, now_s: float) -> None:
        """Takes one server event.

        Raises:
            ServerSaidError: An `error` event, or a reply that failed.
        """
        kind = event["type"]
        if kind == "response.output_audio.delta" and self._spoken_into is not None:
            self._spoken_into.log.take(event, now_s)
            return
        if kind in ("input_audio_buffer.speech_started", "response.created"):
            self.sounding.clear()
        if kind == "input_audio_buffer.speech_started" and self.onset_heard_s is None:
            self.onset_heard_s = now_s
        if kind == "response.created":
            self.heard = Heard()
            self.made_at_s = None
        if kind == "response.output_audio.done" and event["response_id"] == self.log.response_id:
            self.made_at_s = now_s
        if kind == "output_audio_buffer.stopped":
            self._stopped = event["response_id"]
        if self.log.take(event, now_s) is not None:
            self.item_id = event["item_id"]
            self.sounding.set()
        self._judge()

    def take_sound(self, duration_s: float, now_s: float) -> None:
        """Takes sound of a call."""
        if self._spoken_into is not None:
            self._spoken_into.heard.take(duration_s, now_s)
        elif self.log.response_id is not None:
            self.heard.take(duration_s, now_s)
            self.sounding.set()

    def question_sent(self, saying: Saying) -> None:
        """The whole question is out."""
        assert saying.ended_at_s is not None, "all of it was sent"
        self.log.speech_ended_s = saying.ended_at_s
        self.log.question_sent = True
        self._judge()

    def left_s(self, now_s: float) -> float:
        """How much of the reply a caller that plays it itself has still to hear."""
        return 0.0 if self.server_plays else self.log.playout.remaining_s(now_s)

    def played_ms(self, now_s: float) -> int:
        """How much of the reply such a caller has heard."""
        return int((self.log.playout.received_s - self.left_s(now_s)) * 1000)

    def silenced_after_s(self, saying: Saying) -> float | None:
        """How long after its onset this question had silenced the reply that it spoke into.

        A caller that plays the reply itself stops when it is told that speech has started; on a
        call the server stops, and the last sound that came is the moment. None where nothing
        sounded any more: that reply was over before.
        """
        reply, onset_at_s = self.interrupts, saying.onset_at_s
        if reply is None or onset_at_s is None:
            return None
        if self.server_plays:
            return reply.heard.last_s - onset_at_s if reply.heard.last_s >= onset_at_s else None
        if self.onset_heard_s is None or not reply.left_s(onset_at_s):
            return None
        return self.onset_heard_s - onset_at_s

    def figures(self) -> dict[str, Any]:
        """What was measured, as fields of a `TurnRecord`."""
        log, playout = self.log, self.log.playout
        ended_s = log.speech_ended_s
        assert ended_s is not None, "figures are of a question that was asked"
        first_s = self.first_sound_s
        speech_s = self.heard.received_s if self.server_plays else playout.received_s
        return {
            "first_sound_s": None if first_s is None else first_s - ended_s,
            "first_text_s": None if log.first_text_s is None else log.first_text_s - ended_s,
            "speech_s": speech_s,
            "speech_rtf": self._speech_rtf(speech_s),
            "underruns": self.heard.gaps if self.server_plays else playout.underruns,
            "underrun_s": self.heard.gap_s if self.server_plays else playout.underrun_s,
        }

    def _speech_rtf(self, speech_s: float) -> float | None:
        """Seconds that the server took for each of `speech_s`.

        On a call, where sound comes at the pace of speech, the server's word says when all of it
        was made; of a reply that was not heard to its end, nobody knows how much that was.
        """
        if self.server_plays:
            made_at_s = self.made_at_s if self._stopped == self.log.response_id else None
        else:
            made_at_s = self.log.playout.last_s
        if made_at_s is None or not speech_s:
            return None
        return (made_at_s - self.log.response_created_s) / speech_s

    def _judge(self) -> None:
        """Notes whether the reply is over; over the WebSocket it may be without a sound."""
        is_played = not self.server_plays or self._stopped == self.log.response_id
        if self.log.answered and is_played:
            self.sounding.set()
            self.answered.set()
