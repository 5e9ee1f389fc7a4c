"""How busy the engine is, as it tells the gateway now and then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

StageName = Literal["encode", "see", "prefill", "thinker", "talker", "token2wav", "transcribe"]
PreemptionReason = Literal["transcript_waits", "speech_resumed", "context_full"]


@dataclass(frozen=True, kw_only=True, slots=True)
class StageLoad:
    """One stage of the engine.

    `waiting` conversations have a step for it now; `busy_s` it has worked since the start, in
    `passes` of 1, 2, 3 … conversations.
    """

    stage: StageName
    waiting: int = 0
    busy_s: float = 0.0
    passes: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Preemptions:
    """How often, since the start, something that had begun was put aside or thrown away.

    `transcript_waits`: a transcript under way made room for what somebody waits for.
    `speech_resumed`: the end of a turn was read in a pause, and the user went on.
    `context_full`: the oldest items were forgotten, so that what follows them is read again.
    """

    reason: PreemptionReason
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineLoad:
    """How busy the engine is: a moment, and sums since its start.

    Sent at most once a second while it works, and once when it falls idle. Of the caches:
    `thinker_tokens` and `talker_tokens` are held of `thinker_capacity` and `talker_capacity`, and
    the fullest conversation has `fullest_tokens` of the `EngineReady.context_tokens` it may have.
    The GPU's figures are None on a CPU.
    """

    conversations: int = 0
    replies_running: int = 0
    replies_waiting: int = 0
    stages: tuple[StageLoad, ...] = ()
    thinker_tokens: int = 0
    thinker_capacity: int = 0
    talker_tokens: int = 0
    talker_capacity: int = 0
    fullest_tokens: int = 0
    preemptions: tuple[Preemptions, ...] = ()
    prefilled_tokens: int = 0
    text_tokens: int = 0
    codec_tokens: int = 0
    cpu_s: float = 0.0
    resident_bytes: int = 0
    gpu_allocated_bytes: int | None = None
    gpu_used_bytes: int | None = None
    gpu_total_bytes: int | None = None
