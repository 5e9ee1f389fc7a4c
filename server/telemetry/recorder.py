"""Takes what conversations measured, and tells everybody who wants to know.

Knows which figure goes into which metric. Does not know how it was measured (`watch.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from server.errors import ServerError
from server.telemetry import names
from server.telemetry.journal import Journal
from server.telemetry.metrics import Metrics
from server.telemetry.names import Transport, TurnDetection
from server.telemetry.reply_watch import ReplyReport
from server.telemetry.tracing import Trace, Tracing
from streaming.engine.messages.events import EngineReady

if TYPE_CHECKING:
    from server.telemetry.watch import ConversationWatch


class Recorder:
    """One gateway's; conversations call it from whatever thread they are in.

    Args:
        metrics: of the gateway.
        journal: of what was lately.
        tracing: of conversations and turns.
        engine: the engine that is there, or was.
    """

    def __init__(
        self,
        metrics: Metrics,
        journal: Journal,
        tracing: Tracing,
        engine: Callable[[], EngineReady],
    ) -> None:
        self.engine = engine
        self._metrics = metrics
        self._journal = journal
        self.tracing = tracing

    def opened(self, watch: ConversationWatch) -> None:
        """A session has begun."""
        self._metrics.sessions.begun.labels(watch.transport).inc()
        self._metrics.sessions.active.labels(watch.transport).inc()
        self._journal.opened(watch)
        self.tracing.opened(watch)

    def closed(self, watch: ConversationWatch, reason: str, lasted_s: float) -> None:
        """A session is over; the reason is a code of `server.errors`, or a word of ours."""
        sessions = self._metrics.sessions
        sessions.active.labels(watch.transport).dec()
        sessions.ended.labels(watch.transport, names.end(reason)).inc()
        sessions.duration.labels(watch.transport).observe(lasted_s)
        self._journal.closed(watch)
        self.tracing.closed(watch, names.end(reason))

    @contextmanager
    def door(self, transport: Transport) -> Iterator[None]:
        """Counts whoever is refused in the block."""
        try:
            yield
        except ServerError as error:
            self._metrics.sessions.refusals.labels(transport, names.refusal(error.code)).inc()
            raise

    def came_back(self, outcome: str) -> None:
        """A client has come back to its conversation; one of `names.RESUMES`."""
        self._metrics.sessions.resumes.labels(outcome).inc()

    def turn_ended(
        self, transport: Transport, detection: TurnDetection, delay_s: float | None
    ) -> None:
        """A user's turn has ended; where we decide that, `delay_s` after the end of speech."""
        turns = self._metrics.turns
        turns.turns.labels(transport, detection).inc()
        if delay_s is not None:
            turns.endpoint_delay.labels(detection).observe(delay_s)
        self._journal.figure("endpoint_delay", delay_s)

    def barged_in(self, transport: Transport) -> None:
        """Somebody has spoken into a reply."""
        self._metrics.turns.barge_ins.labels(transport).inc()

    def silenced(self, transport: Transport, late_s: float) -> None:
        """The reply was silent `late_s` after the onset of speech into it."""
        self._metrics.turns.barge_in.labels(transport).observe(late_s)
        self._journal.figure("barge_in", late_s)

    def interrupted_falsely(self, transport: Transport, reason: str) -> None:
        """What had interrupted a reply was no turn."""
        self._metrics.turns.false_interruptions.labels(reason, transport).inc()

    def reply_ended(self, report: ReplyReport) -> None:
        """A reply is over."""
        self._journal.reply_ended(report)
        trace = self.tracing.reply_ended(report)
        self._count(report, trace)
        if report.ttfa_s is None or report.turn_detection is None:
            return
        transport, felt = report.transport, self._metrics.felt
        felt.ttfa.labels(transport, report.turn_detection).observe(report.ttfa_s, trace)
        for stage, part_s in report.stages.items():
            felt.stage.labels(stage, transport).observe(part_s, trace)

    def _count(self, report: ReplyReport, trace: Trace | None) -> None:
        transport, replies, speech = report.transport, self._metrics.replies, self._metrics.speech
        replies.replies.labels(report.status, transport).inc()
        replies.cached_tokens.inc(report.usage.cached_tokens)
        speech.speech_s.inc(report.sound_s)
        figures = [
            (replies.first_token.labels(transport), report.first_text_s),
            *((replies.next_token.labels(transport), gap_s) for gap_s in report.text_gaps_s),
            (speech.first_packet.labels(transport), report.first_packet_s),
            (replies.queue_wait, report.queue_wait_s),
            (self._metrics.turns.cancel, report.cancel_s),
        ]
        if report.status in ("completed", "incomplete"):
            figures.append((replies.whole.labels(transport), report.whole_s))
            if report.sound_s > 0:
                figures.append((speech.duration.labels(transport), report.sound_s))
                figures.append((speech.rtf.labels(transport), report.rtf))
                if transport in names.SPOKEN:
                    figures.append((speech.underrun.labels(transport), report.underrun_s))
        for histogram, value in figures:
            if value is not None:
                histogram.observe(value, trace)
