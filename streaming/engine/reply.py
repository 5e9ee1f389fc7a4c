"""One reply under way: its tokens, its marks in time, and how it will be reported.

Knows what was said so far and when. Does not know torch; the Talker's and the vocoder's side of a
spoken reply is in `speaking.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from streaming.engine.item import Item
from streaming.engine.messages.events import StageTimings
from streaming.engine.scheduler import Playout, Stage
from streaming.engine.tool_calls import Where

if TYPE_CHECKING:
    from torch import Tensor

    from streaming.engine.forced import ForcedSampler
    from streaming.engine.speaking import Speech
    from streaming.engine.words import Words


Limit = Literal["max_output_tokens", "context_full"]


@dataclass(slots=True)
class Marks:
    """Moments of a reply on the engine's clock, and the seconds each stage worked for it."""

    asked_s: float
    begun_s: float | None = None
    prefilled_s: float | None = None
    first_text_s: float | None = None
    first_code_s: float | None = None
    first_chunk_s: float | None = None
    first_wave_s: float | None = None
    busy_s: dict[Stage, float] = field(default_factory=dict)

    def timings(self, now_s: float) -> StageTimings:
        """Returns the marks as seconds since the reply was asked for."""

        def since(moment_s: float | None) -> float | None:
            return None if moment_s is None else moment_s - self.asked_s

        return StageTimings(
            queue_s=since(self.begun_s),
            prefill_s=since(self.prefilled_s),
            first_text_s=since(self.first_text_s),
            first_code_s=since(self.first_code_s),
            first_chunk_s=since(self.first_chunk_s),
            first_wave_s=since(self.first_wave_s),
            total_s=now_s - self.asked_s,
            encode_busy_s=self.busy_s.get(Stage.ENCODE, 0.0) + self.busy_s.get(Stage.SEE, 0.0),
            prefill_busy_s=self.busy_s.get(Stage.PREFILL, 0.0),
            thinker_busy_s=self.busy_s.get(Stage.THINKER, 0.0),
            talker_busy_s=self.busy_s.get(Stage.TALKER, 0.0),
            token2wav_busy_s=self.busy_s.get(Stage.TOKEN2WAV, 0.0),
        )


@dataclass(slots=True)
class Reply:
    """The state of one reply.

    `tokens` are those drawn so far, without the one that ends the turn; the last of them has not
    been through the Thinker yet. `cached_tokens` of its prompt were in the cache when it was asked
    for. `limit` is what ends its text, if it does not end itself. `held` are vectors of tokens that
    may begin a function call.
    """

    response_id: str
    item: Item
    speech: Speech | None
    max_tokens: int
    marks: Marks
    text: Words
    sampler: ForcedSampler
    cached_tokens: int
    limit: Limit = "max_output_tokens"
    own_system: bool = False
    tokens: list[int] = field(default_factory=list)
    begun: bool = False
    thinker_ended: bool = False
    cut_short: bool = False
    playout: Playout = field(default_factory=Playout)
    held: list[Tensor] = field(default_factory=list)

    def push(self, vector: Tensor) -> None:
        """Has the Talker say the last token, whose Thinker vector [D] this is, if it is a word.

        What may yet turn out to begin a function call waits.
        """
        if self.speech is None:
            return
        match self.text.last:
            case Where.TEXT:
                self._release()
                self.speech.push(vector)
            case Where.PERHAPS:
                self.held.append(vector)
            case _:
                self.held.clear()

    def finish_speech(self) -> None:
        """The reply has no more tokens."""
        if self.speech is not None:
            if self.text.last is Where.TEXT:
                self._release()
            self.held.clear()
            self.speech.finish()

    def _release(self) -> None:
        assert self.speech is not None
        for vector in self.held:
            self.speech.push(vector)
        self.held.clear()

    @property
    def lead_tokens(self) -> int:
        """Vectors that the Talker has not taken yet."""
        return 0 if self.speech is None else self.speech.waiting_vectors

    @property
    def ended(self) -> bool:
        """Tells whether all of it was made."""
        return self.thinker_ended and (self.speech is None or self.speech.ended)

    @property
    def ended_by(self) -> Limit | None:
        """Which limit ended it, in text or in speech; None where it came to its own end."""
        if self.cut_short:
            return self.limit
        return "max_output_tokens" if self.speech is not None and self.speech.cut_short else None

    @property
    def was_sent(self) -> bool:
        """Tells whether the gateway has any of it."""
        return self.text.said or self.playout.started_s is not None

    def note(self, stage: Stage, busy_s: float, now_s: float) -> None:
        """Notes that a stage worked for it, and what there is of it for the first time."""
        marks = self.marks
        marks.busy_s[stage] = marks.busy_s.get(stage, 0.0) + busy_s
        if marks.begun_s is None and stage is not Stage.TRANSCRIBE:
            marks.begun_s = now_s - busy_s
        if marks.prefilled_s is None and stage is Stage.THINKER:
            marks.prefilled_s = now_s - busy_s
        if marks.first_chunk_s is None and stage is Stage.TOKEN2WAV:
            marks.first_chunk_s = now_s - busy_s
        if marks.first_text_s is None and self.tokens:
            marks.first_text_s = now_s
        if marks.first_code_s is None and self.speech is not None and self.speech.heard.codes:
            marks.first_code_s = now_s
        if marks.first_wave_s is None and self.playout.started_s is not None:
            marks.first_wave_s = now_s
