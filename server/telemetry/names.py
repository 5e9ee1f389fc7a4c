"""The label values and buckets of every metric: bounded, and known before anything happens.

Knows words and numbers only. What they mean is in docs/metrics.md.
"""

from __future__ import annotations

from typing import Literal

Transport = Literal["websocket", "webrtc", "http"]
TurnDetection = Literal["server_vad", "semantic_vad", "none"]

TRANSPORTS: tuple[Transport, ...] = ("websocket", "webrtc", "http")
# Those on which somebody speaks and listens.
SPOKEN: tuple[Transport, ...] = ("websocket", "webrtc")
TURN_DETECTIONS: tuple[TurnDetection, ...] = ("server_vad", "semantic_vad", "none")
STATUSES = ("completed", "cancelled", "incomplete", "failed")

# From the end of speech to the first audible sample, in order and without a gap.
TTFA_STAGES = (
    "endpointing",
    "asking",
    "queue",
    "prefill",
    "first_text",
    "first_codec_chunk",
    "first_wave",
    "send",
    "leading_silence",
)

OTHER = "other"
# Codes of `server.errors`, for those who were not let in.
REFUSALS = (
    "model_not_found",
    "engine_not_ready",
    "server_draining",
    "server_full",
    "invalid_api_key",
    "origin_not_allowed",
    "host_not_allowed",
    "rate_limit_exceeded",
    "too_many_conversations",
    "invalid_offer",
    "request_too_large",
    "unsupported_content_type",
    "context_length_exceeded",
    OTHER,
)
# Why a session that was open is not any more.
ENDS = (
    "client_left",
    "answered",
    "session_expired",
    "session_idle",
    "session_gone",
    "server_ended",
    "engine_lost",
    "slow_reader",
    "call_not_connected",
    "call_lost",
    "call_ended",
    "too_much_input",
    "server_error",
    OTHER,
)
# How it went for a client that came back to its conversation.
RESUMES = ("resumed", "events_lost", "conversation_gone", "refused")
FALSE_INTERRUPTIONS = ("short", "dropped", "no_words")
VIDEO_DROPS = ("thinned",)

FELT_S = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
STAGE_S = (0.005, 0.01, 0.02, 0.05, *FELT_S[:-1])
FIRST_S = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, *FELT_S)
TOKEN_S = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
WHOLE_S = (0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0)
WAIT_S = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
ENDPOINT_S = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.5, 2.0, 3.0, 4.0, 8.0)
BARGE_IN_S = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0)
UNDERRUN_S = (0.0, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
RTF = (0.1, 0.25, 0.5, 0.75, 0.9, 1.0, 1.25, 1.5, 2.0, 5.0, 10.0)
SESSION_S = (1.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0)
RTT_S = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0)
JITTER_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2)
LATENESS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
LAG_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
BATCH = (1, 2, 4, 8, 16, 32, 64, 128)


def refusal(code: str) -> str:
    """Returns the label for a refusal with this error code."""
    return code if code in REFUSALS else OTHER


def end(code: str) -> str:
    """Returns the label for a session that ended with this error code."""
    return code if code in ENDS else OTHER
