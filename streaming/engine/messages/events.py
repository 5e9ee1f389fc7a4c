"""What the engine tells the gateway: `Event`.

Sound is raw bytes: int16 little-endian samples, mono, at `EngineReady.output_sample_rate_hz`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from streaming.engine.messages.address import OfConversation, OfItem, OfResponse
from streaming.engine.messages.load import EngineLoad

ResponseStatus = Literal["completed", "cancelled", "incomplete", "failed"]


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineLoading:
    """Progress of a start: what is being done, and how much of it (0 to 1) when known."""

    stage: str
    fraction: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineReady:
    """The engine takes conversations; what this checkpoint and this process can do.

    `instructions` are the checkpoint's own system prompt, in force while a conversation has none;
    `transcribes` says whether it can be asked what it heard; a second of heard sound takes
    `audio_tokens_per_s` of the context.
    """

    model_id: str
    inputs: tuple[str, ...]
    voices: tuple[str, ...]
    max_conversations: int
    context_tokens: int
    output_sample_rate_hz: int
    instructions: str = ""
    transcribes: bool = True
    audio_tokens_per_s: float = 25.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ConversationOpened(OfConversation):
    """The conversation has a slot."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ConversationRefused(OfConversation):
    """The conversation got no slot.

    `code` is "capacity", "context" (its instructions are too long for it), "unknown_voice",
    "unknown_conversation" (of the parent) or "duplicate".
    """

    code: str
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TextDelta(OfResponse):
    """More text of a reply: the text itself, or the transcript of its speech."""

    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AudioDelta(OfResponse):
    """More speech of a reply; int16 LE mono."""

    pcm: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolCallDelta(OfResponse):
    """More of the `arguments` (JSON) of a function call, which will be item `item_id`."""

    item_id: str
    name: str
    arguments: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolCallDone(OfResponse):
    """A function call is over; one that is not `complete` was broken off, and is no history."""

    item_id: str
    name: str
    arguments: str
    complete: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """Tokens of one reply. `cached_*` of the input were in the cache at `Respond`."""

    input_tokens: int = 0
    cached_tokens: int = 0
    cached_audio_tokens: int = 0
    cached_image_tokens: int = 0
    input_text_tokens: int = 0
    input_audio_tokens: int = 0
    input_image_tokens: int = 0
    output_text_tokens: int = 0
    output_audio_tokens: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class StageTimings:
    """Seconds since `Respond` until each first, None when it never came; then busy seconds.

    `queue_s` is the beginning of the first pass for the reply, `prefill_s` that of the Thinker's
    first step, `first_chunk_s` that of Token2Wav's: then the codes of the first chunk were there.
    """

    queue_s: float | None = None
    prefill_s: float | None = None
    first_text_s: float | None = None
    first_code_s: float | None = None
    first_chunk_s: float | None = None
    first_wave_s: float | None = None
    total_s: float = 0.0
    encode_busy_s: float = 0.0
    prefill_busy_s: float = 0.0
    thinker_busy_s: float = 0.0
    talker_busy_s: float = 0.0
    token2wav_busy_s: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ResponseError:
    """Why a reply failed."""

    code: str
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ResponseDone(OfResponse):
    """The end of a reply.

    `reason` of an incomplete one: "max_output_tokens", of text or of speech, or "context_full"; of
    a cancelled one: "client_cancelled".
    """

    status: ResponseStatus
    reason: str | None = None
    error: ResponseError | None = None
    usage: Usage = field(default_factory=Usage)
    timings: StageTimings = field(default_factory=StageTimings)


@dataclass(frozen=True, kw_only=True, slots=True)
class TranscriptToken:
    """A token of a transcript: the bytes it stands for, and its log-probability.

    Given what comes before it, in nats. Where the Thinker writes the transcript down, it is the
    Thinker's own; of words that were read off a sound, see `model.dictation`.
    """

    octets: tuple[int, ...]
    log_prob: float


@dataclass(frozen=True, kw_only=True, slots=True)
class InputTranscriptDelta(OfItem):
    """More of what the Thinker heard in a spoken item, as it writes it down.

    `tokens` are those that came since the last one; a character may need several.
    """

    text: str
    tokens: tuple[TranscriptToken, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class InputTranscript(OfItem):
    """All of what the Thinker heard in a spoken item, and all its `tokens`."""

    text: str
    tokens: tuple[TranscriptToken, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class TranscriptFailed(OfItem):
    """A `Transcribe` that could not be answered, and why."""

    code: str
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemTruncated(OfItem):
    """A reply was cut; `text` is what was heard of it and all that history keeps."""

    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class InstructionsUpdated(OfConversation):
    """An `UpdateInstructions` was carried out."""

    update_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class InstructionsRefused(OfConversation):
    """An `UpdateInstructions` could not be carried out, and why; what was told before stays."""

    update_id: str
    code: str
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineFault:
    """A request or a conversation failed; with `conversation_id` None the whole engine did.

    `item_id` names the item concerned, if any. `fatal` says that the conversation is gone.
    """

    conversation_id: str | None
    code: str
    message: str
    item_id: str | None = None
    fatal: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Pong:
    """Answer to `Ping`."""

    nonce: int


Event = (
    EngineLoading
    | EngineReady
    | ConversationOpened
    | ConversationRefused
    | TextDelta
    | AudioDelta
    | ToolCallDelta
    | ToolCallDone
    | ResponseDone
    | InputTranscriptDelta
    | InputTranscript
    | TranscriptFailed
    | ItemTruncated
    | InstructionsUpdated
    | InstructionsRefused
    | EngineFault
    | EngineLoad
    | Pong
)
