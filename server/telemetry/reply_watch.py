"""One reply's moments, from being asked for to its last sound, and what they come to.

Knows moments on a monotonic clock, and the engine's own times of the same reply. Does not know who
notes them (`watch.py`) or who is told (`recorder.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from server.telemetry.names import TTFA_STAGES, Transport, TurnDetection
from server.telemetry.player import Player
from streaming.engine.messages.events import (
    AudioDelta,
    ResponseDone,
    ResponseStatus,
    StageTimings,
    TextDelta,
    ToolCallDone,
    Usage,
)
from streaming.media.codecs import audible_from
from streaming.protocol.commands import AudioPart, Part, TextPart

BYTES_PER_SAMPLE = 2
Said = TextDelta | AudioDelta | ToolCallDone | ResponseDone


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A user's spoken turn that waits for an answer.

    `end_s` is the end of its speech, `decided_s` when it was decided that the turn has ended.
    """

    end_s: float
    decided_s: float
    turn_detection: TurnDetection


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyReport:
    """All that was measured of a reply that is over; None where it never came to it.

    Attributes:
        began_s: The end of speech, or when it was asked for if it answers no speech.
        ended_s: When all of it was there and sent.
        ttfa_s: From the end of speech to the first audible sample.
        stages: Of that, each part of `TTFA_STAGES` in order.
        first_text_s: From asking to the first text, at the gateway.
        text_gaps_s: From each text to the next, at the gateway.
        first_packet_s: From asking to the first sound, at the gateway.
        whole_s: From asking to the engine's last word.
        queue_wait_s: In the engine, from taking it up to its first pass.
        sound_s: Speech that came.
        making_s: In the engine, from taking it up to its end.
        underrun_s: Silence in the midst of it.
        cancel_s: From telling the engine to stop to its last word.
    """

    conversation_id: str
    response_id: str
    model: str
    transport: Transport
    turn_detection: TurnDetection | None
    status: ResponseStatus
    usage: Usage
    began_s: float
    asked_s: float
    ended_s: float
    ttfa_s: float | None
    stages: dict[str, float]
    first_text_s: float | None
    text_gaps_s: tuple[float, ...] = ()
    first_packet_s: float | None
    whole_s: float | None
    queue_wait_s: float | None
    sound_s: float
    making_s: float | None
    underrun_s: float
    cancel_s: float | None

    @property
    def parts(self) -> dict[str, float]:
        """Its stages; of a reply to nothing that was said, what is known without them."""
        if self.stages or self.first_text_s is None:
            return self.stages
        parts = {"to_first_text": self.first_text_s}
        if self.first_packet_s is not None:
            parts["to_first_sound"] = max(0.0, self.first_packet_s - self.first_text_s)
        return parts

    @property
    def rtf(self) -> float | None:
        """Time that it took in the engine, per time of its sound."""
        return self.making_s / self.sound_s if self.making_s is not None and self.sound_s else None


@dataclass(slots=True)
class ReplyWatch:
    """A reply under way.

    Attributes:
        turn: The speech that it answers, if any.
        first_sent_s: When its first sound left.
        audible_s: When the first sample that can be heard left.
        calls: It calls a function.
        is_told: The client has been told of its end.
        is_pushed: A loudspeaker of ours was given some of it.
        is_played_out: A loudspeaker of ours has nothing more of it.
    """

    response_id: str
    asked_s: float
    turn: Turn | None = None
    cancelled_s: float | None = None
    first_text_s: float | None = None
    text_s: float | None = None  # of the last one
    text_gaps_s: list[float] = field(default_factory=list)  # no more than a reply has tokens
    first_wave_s: float | None = None
    first_sent_s: float | None = None
    audible_s: float | None = None
    ended_s: float | None = None
    sound_s: float = 0.0
    lead_s: float | None = None  # sound before the first sample that can be heard
    done: ResponseDone | None = None
    calls: bool = False
    player: Player = field(default_factory=Player)
    is_told: bool = False
    is_pushed: bool = False
    is_played_out: bool = False

    @property
    def is_made(self) -> bool:
        """Whether the engine still makes it, and was not told to stop."""
        return self.done is None and self.cancelled_s is None

    @property
    def leaves_unanswered(self) -> Turn | None:
        """The turn whose answer comes after this, with what it called, for nothing of it sounds."""
        is_whole = self.done is not None and self.done.status == "completed"
        return self.turn if is_whole and self.calls and self.lead_s is None else None

    def take(self, message: Said, now_s: float, hz: int) -> None:
        """Takes what the engine says of it; its sound comes at `hz`."""
        match message:
            case ToolCallDone(complete=complete):
                self.calls = self.calls or complete
            case TextDelta():
                if self.text_s is not None:
                    self.text_gaps_s.append(now_s - self.text_s)
                self.first_text_s = self.first_text_s or now_s
                self.text_s = now_s
            case AudioDelta(pcm=pcm):
                self.first_wave_s = self.first_wave_s or now_s
                if self.lead_s is None and (first := audible_from(pcm)) is not None:
                    self.lead_s = self.sound_s + first / hz
                self.sound_s += len(pcm) / BYTES_PER_SAMPLE / hz
            case ResponseDone():
                self.done = message
                self.ended_s = now_s

    def sent(self, sound_s: float, now_s: float) -> None:
        """Some of its sound leaves now, for a listener who plays it from the first of it on."""
        self.first_sent_s = self.first_sent_s or now_s
        self.player.sent(sound_s, now_s)
        if self.audible_s is None and self.lead_s is not None:
            self.audible_s = max(self.first_sent_s + self.lead_s, now_s)

    def played(self, *, audible: bool, missing_s: float, now_s: float) -> None:
        """A frame with some of its sound was played now."""
        self.first_sent_s = self.first_sent_s or now_s
        self.player.underrun_s += missing_s
        if audible and self.audible_s is None:
            self.audible_s = now_s

    def report(
        self, conversation_id: str, model: str, transport: Transport, now_s: float
    ) -> ReplyReport:
        """Returns what it came to, now that it is over.

        One of which the engine said no last word was given up with its session.
        """
        timings = StageTimings() if self.done is None else self.done.timings
        turn, ended_s = self.turn, self.ended_s
        ttfa_s = None
        if turn is not None and self.audible_s is not None:
            ttfa_s = self.audible_s - turn.end_s
        return ReplyReport(
            conversation_id=conversation_id,
            response_id=self.response_id,
            model=model,
            transport=transport,
            turn_detection=None if turn is None else turn.turn_detection,
            status="cancelled" if self.done is None else self.done.status,
            usage=Usage() if self.done is None else self.done.usage,
            began_s=self.asked_s if turn is None else turn.end_s,
            asked_s=self.asked_s,
            ended_s=now_s,
            ttfa_s=ttfa_s,
            stages={} if ttfa_s is None else self._stages(timings),
            first_text_s=_after(self.asked_s, self.first_text_s),
            text_gaps_s=tuple(self.text_gaps_s),
            first_packet_s=_after(self.asked_s, self.first_wave_s),
            whole_s=_after(self.asked_s, ended_s),
            queue_wait_s=timings.queue_s,
            sound_s=self.sound_s,
            making_s=None if timings.first_wave_s is None else timings.total_s,
            underrun_s=self.player.underrun_s,
            cancel_s=None if self.cancelled_s is None else _after(self.cancelled_s, ended_s),
        )

    def _stages(self, timings: StageTimings) -> dict[str, float]:
        """The parts of its TTFA; none if the engine has not told its times."""
        assert self.turn is not None
        firsts = _numbers(
            timings.queue_s,
            timings.prefill_s,
            timings.first_text_s,
            timings.first_chunk_s,
            timings.first_wave_s,
        )
        here = _numbers(self.first_wave_s, self.first_sent_s, self.audible_s)
        if not firsts or not here:
            return {}
        # The engine's clock is its own. What it did lies somewhere between asking and the first
        # sound that came back: taken as ending with it, all the rest of that time is the queue's.
        taken_up_s = here[0] - firsts[-1]
        decided = (self.turn.end_s, self.turn.decided_s, self.asked_s)
        made = tuple(taken_up_s + first for first in firsts)
        moments = (*decided, *made, *here[1:])
        parts = (max(0.0, after_s - s) for s, after_s in pairwise(moments))
        return dict(zip(TTFA_STAGES, parts, strict=True))


def is_question(part: Part) -> bool:
    """Whether a user's item with this asks something by itself; a picture or a result does not."""
    return isinstance(part, TextPart | AudioPart)


def _numbers(*values: float | None) -> tuple[float, ...]:
    """The values; nothing if one of them is missing."""
    numbers = tuple(value for value in values if value is not None)
    return numbers if len(numbers) == len(values) else ()


def _after(start_s: float, end_s: float | None) -> float | None:
    return None if end_s is None else end_s - start_s
