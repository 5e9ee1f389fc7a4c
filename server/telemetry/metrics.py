"""Every metric of the gateway, declared once, in a registry of the gateway's own.

Knows names, labels, buckets and prometheus_client. Does not know when anything is measured: the
watches beside it (`watch.py`, `line.py`, `loop_lag.py`) are given these. What the engine says of
itself is `engine_load.py`. The definitions, with their clocks, are docs/metrics.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.process_collector import ProcessCollector

from server.telemetry import names

PREFIX = "omnilive_"

AnyMetric = TypeVar("AnyMetric", Counter, Gauge, Histogram)


class Maker:
    """Declares metrics in one registry, each of their known label values at zero."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def counter(self, name: str, text: str, **labels: Iterable[str]) -> Counter:
        """Declares a counter; `_total` is put behind its name."""
        made = Counter(PREFIX + name, text, tuple(labels), registry=self._registry)
        return _at_zero(made, labels)

    def gauge(self, name: str, text: str, **labels: Iterable[str]) -> Gauge:
        """Declares a gauge."""
        made = Gauge(PREFIX + name, text, tuple(labels), registry=self._registry)
        return _at_zero(made, labels)

    def histogram(
        self, name: str, text: str, buckets: Iterable[float], **labels: Iterable[str]
    ) -> Histogram:
        """Declares a histogram."""
        made = Histogram(
            PREFIX + name, text, tuple(labels), registry=self._registry, buckets=tuple(buckets)
        )
        return _at_zero(made, labels)


def _at_zero(metric: AnyMetric, labels: dict[str, Iterable[str]]) -> AnyMetric:
    """Has all series there at once: one that begins with its first event has no rate for it."""
    if labels:
        for values in product(*labels.values()):
            metric.labels(*values)
    return metric


class FeltMetrics:
    """What the caller feels: from the end of speech to the first audible sample."""

    def __init__(self, make: Maker) -> None:
        self.ttfa = make.histogram(
            "ttfa_seconds",
            "From the end of speech to the first audible sample of the answer.",
            names.FELT_S,
            transport=names.SPOKEN,
            turn_detection=names.TURN_DETECTIONS,
        )
        self.stage = make.histogram(
            "ttfa_stage_seconds",
            "The parts of ttfa_seconds; they add up to it, turn by turn.",
            names.STAGE_S,
            stage=names.TTFA_STAGES,
            transport=names.SPOKEN,
        )


class ReplyMetrics:
    """Replies, spoken or written, to whatever question."""

    def __init__(self, make: Maker) -> None:
        self.replies = make.counter(
            "responses", "Replies that ended.", status=names.STATUSES, transport=names.TRANSPORTS
        )
        self.first_token = make.histogram(
            "time_to_first_token_seconds",
            "From asking the engine for a reply to its first text.",
            names.FIRST_S,
            transport=names.TRANSPORTS,
        )
        self.next_token = make.histogram(
            "inter_token_latency_seconds",
            "From one text of a reply to the next.",
            names.TOKEN_S,
            transport=names.TRANSPORTS,
        )
        self.whole = make.histogram(
            "e2e_request_latency_seconds",
            "From asking the engine for a reply to its end.",
            names.WHOLE_S,
            transport=names.TRANSPORTS,
        )
        self.queue_wait = make.histogram(
            "request_queue_wait_seconds",
            "From the engine's taking up a reply to the first pass for it.",
            names.WAIT_S,
        )
        self.cached_tokens = make.counter(
            "prompt_tokens_cached", "Positions of prompts that were in the cache already."
        )


class SpeechMetrics:
    """Replies that are spoken."""

    def __init__(self, make: Maker) -> None:
        self.first_packet = make.histogram(
            "audio_ttfp_seconds",
            "From asking the engine for a reply to its first packet of sound.",
            names.FIRST_S,
            transport=names.TRANSPORTS,
        )
        self.speech_s = make.counter("speech_generated_seconds", "Sound that came from the engine.")
        self.duration = make.histogram(
            "audio_duration_seconds",
            "Sound of a spoken reply.",
            names.WHOLE_S,
            transport=names.TRANSPORTS,
        )
        self.rtf = make.histogram(
            "audio_rtf",
            "Time that a spoken reply took in the engine, per time of its sound.",
            names.RTF,
            transport=names.TRANSPORTS,
        )
        self.underrun = make.histogram(
            "audio_underrun_seconds",
            "Silence that a listener heard in the midst of a spoken reply.",
            names.UNDERRUN_S,
            transport=names.SPOKEN,
        )


class TurnMetrics:
    """Whose turn it is."""

    def __init__(self, make: Maker) -> None:
        self.turns = make.counter(
            "turns",
            "Spoken turns of users that ended.",
            transport=names.SPOKEN,
            turn_detection=names.TURN_DETECTIONS,
        )
        self.endpoint_delay = make.histogram(
            "vad_endpoint_delay_seconds",
            "From the end of speech to the decision that the turn has ended.",
            names.ENDPOINT_S,
            turn_detection=names.TURN_DETECTIONS,
        )
        self.barge_in = make.histogram(
            "barge_in_seconds",
            "From the onset of speech into a reply to the last sound of that reply.",
            names.BARGE_IN_S,
            transport=names.SPOKEN,
        )
        self.barge_ins = make.counter(
            "barge_ins", "Replies that somebody spoke into.", transport=names.SPOKEN
        )
        self.false_interruptions = make.counter(
            "false_interruptions",
            "Barge-ins by what was no turn after all.",
            reason=names.FALSE_INTERRUPTIONS,
            transport=names.SPOKEN,
        )
        self.cancel = make.histogram(
            "cancel_seconds",
            "From telling the engine to stop a reply to its last word of it.",
            names.BARGE_IN_S,
        )


class SessionMetrics:
    """Who is connected, who was not let in, and how it ended."""

    def __init__(self, make: Maker) -> None:
        self.active = make.gauge("sessions_active", "Open sessions.", transport=names.TRANSPORTS)
        self.begun = make.counter("sessions", "Sessions begun.", transport=names.TRANSPORTS)
        self.ended = make.counter(
            "sessions_ended", "Sessions ended.", transport=names.TRANSPORTS, reason=names.ENDS
        )
        self.duration = make.histogram(
            "session_duration_seconds",
            "How long a session was open.",
            names.SESSION_S,
            transport=names.TRANSPORTS,
        )
        self.refusals = make.counter(
            "refusals",
            "Sessions, calls and answers that were asked for and refused.",
            transport=names.TRANSPORTS,
            reason=names.REFUSALS,
        )
        self.resumes = make.counter(
            "resumes",
            "Clients that came back to a conversation which their connection had left.",
            outcome=names.RESUMES,
        )
        self.limit = make.gauge("max_conversations", "Conversations that may be open.")


class LineMetrics:
    """WebRTC's connection, and its packets of sound."""

    def __init__(self, make: Maker) -> None:
        self.connect = make.histogram(
            "call_connect_seconds", "From a call's offer to its connection.", names.FIRST_S
        )
        self.rtt = make.histogram(
            "rtc_rtt_seconds", "Round trip to a peer, as its reports tell.", names.RTT_S
        )
        self.jitter = make.histogram(
            "rtc_jitter_seconds",
            "Jitter of the sound's packets (RFC 3550).",
            names.JITTER_S,
            direction=("in", "out"),
        )
        self.packets = make.counter(
            "rtc_packets", "Packets of sound that came, or were sent.", direction=("in", "out")
        )
        self.lost = make.counter(
            "rtc_packets_lost",
            "Packets of sound that never came, here or at the peer.",
            direction=("in", "out"),
        )
        self.late = make.counter(
            "rtc_packets_late", "Packets of sound that came when their time had passed."
        )
        self.held_s = make.counter(
            "jitter_buffer_delay_seconds", "Time that packets were held back, added up."
        )
        self.held = make.counter(
            "jitter_buffer_packets", "Packets that left the jitter buffer in order."
        )
        self.lateness = make.histogram(
            "pacing_lateness_seconds",
            "How much later than due a packet of speech was made.",
            names.LATENESS_S,
        )
        self.skipped = make.counter(
            "pacing_skipped_frames", "Frames that were left out after a stall."
        )


class CameraMetrics:
    """WebRTC's pictures."""

    def __init__(self, make: Maker) -> None:
        self.frames = make.counter("video_frames_received", "Pictures that came from cameras.")
        self.sampled = make.counter("video_frames_sampled", "Pictures that were kept.")
        self.dropped = make.counter(
            "video_frames_dropped", "Kept pictures that were thrown away.", reason=names.VIDEO_DROPS
        )


class Metrics:
    """All of one gateway."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        make = Maker(self.registry)
        self.felt = FeltMetrics(make)
        self.replies = ReplyMetrics(make)
        self.speech = SpeechMetrics(make)
        self.turns = TurnMetrics(make)
        self.sessions = SessionMetrics(make)
        self.line = LineMetrics(make)
        self.camera = CameraMetrics(make)
        self.loop_lag = make.histogram(
            "event_loop_lag_seconds",
            "How much later than due the gateway's event loop turned to a timer.",
            names.LAG_S,
        )
        ProcessCollector(registry=self.registry)
