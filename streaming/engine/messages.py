"""The dataclasses that cross the border between gateway and engine, and nothing else does.

Knows the fields and their units. Does not know how they travel (`wire.py`), who sends them, or
torch.

Gateway to engine: `Command`. Engine to gateway: `Event`. Every message of one conversation carries
its `conversation_id`; order is kept in each direction. Samples are raw bytes: float32 little-endian
at 16 kHz mono towards the engine, int16 little-endian mono at `EngineReady.output_sample_rate_hz`
back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Role = Literal["system", "user", "assistant"]
Modality = Literal["text", "audio"]
ToolChoice = Literal["auto", "none", "required"]
ResponseStatus = Literal["completed", "cancelled", "incomplete", "failed"]
StageName = Literal["encode", "see", "prefill", "thinker", "talker", "token2wav", "transcribe"]
PreemptionReason = Literal["transcript_waits", "speech_resumed", "context_full"]

INPUT_SAMPLE_RATE_HZ = 16_000


@dataclass(frozen=True, kw_only=True, slots=True)
class TextPart:
    """Written content of an item."""

    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AudioPart:
    """Spoken content of an item, whole; `pcm` is float32 LE, 16 kHz, mono."""

    pcm: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """One picture: RGB, 8 bits each, row by row."""

    pixels: bytes
    rows: int
    columns: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ImagePart:
    """A still image in an item of the user."""

    frame: Frame


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoPart:
    """A video in an item of the user, sampled at an even pace.

    `pcm` is the sound to be heard with it (float32 LE, 16 kHz, mono), None if it is silent.
    """

    frames: tuple[Frame, ...]
    frames_per_second: float
    pcm: bytes | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolCallPart:
    """A function call in an assistant's item; `arguments` is JSON."""

    name: str
    arguments: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolResultPart:
    """What a function gave back, in a user's item."""

    output: str


MediaPart = AudioPart | ImagePart | VideoPart
Part = TextPart | MediaPart | ToolCallPart | ToolResultPart


@dataclass(frozen=True, kw_only=True, slots=True)
class OfConversation:
    """A message of one conversation."""

    conversation_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class OfItem(OfConversation):
    """A message about one item of a conversation."""

    item_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class OfResponse(OfConversation):
    """A message about one reply of a conversation."""

    response_id: str


# --- gateway to engine ------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenConversation(OfConversation):
    """Asks for a slot; answered by `ConversationOpened` or `ConversationRefused`.

    `instructions` None means the checkpoint's own system prompt, "" none at all; `voice` None its
    first voice. `tools` are the JSON texts of the functions that replies may call. With
    `parent_id` all three come from that conversation where they are None, and with `copies_items`
    its complete items too; from then on the two are strangers.
    """

    instructions: str | None = None
    tools: tuple[str, ...] | None = None
    voice: str | None = None
    parent_id: str | None = None
    copies_items: bool = False
    modalities: tuple[Modality, ...] = ("audio",)


@dataclass(frozen=True, kw_only=True, slots=True)
class UserAudioStart(OfItem):
    """Opens a spoken user item at the end of the conversation (speech has started)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UserAudio(OfItem):
    """More samples of the open spoken item; float32 LE, 16 kHz, mono, any length."""

    pcm: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class UserFrame(OfItem):
    """The next frame of the video that the open spoken item is the sound of.

    Frame n belongs to second n / `frames_per_second` of the sound, and comes before the sound of
    that moment. The first must come within the first two seconds of the sound; later ones have its
    pace, a whole number, so that two seconds of sound have whole temporal steps.
    """

    frame: Frame
    frames_per_second: float


@dataclass(frozen=True, kw_only=True, slots=True)
class UserVideo(OfItem):
    """What was seen before the sound of the open spoken item, if none has come, or else behind."""

    video: VideoPart


@dataclass(frozen=True, kw_only=True, slots=True)
class UserAudioPause(OfItem):
    """Silence has begun: encode and prefill the part block; later `UserAudio` undoes that."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UserAudioStop(OfItem):
    """The spoken item is complete."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UserAudioDrop(OfItem):
    """The open spoken item was no turn after all: forget it and its cache positions."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AddItem(OfItem):
    """Adds a complete item; `previous_item_id` None appends, `"root"` puts it first."""

    role: Role
    parts: tuple[Part, ...]
    previous_item_id: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CopyItem(OfItem):
    """Appends what item `source_item_id` of conversation `source_id` holds."""

    source_id: str
    source_item_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class DeleteItem(OfItem):
    """Removes an item; what follows it is prefilled again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TruncateItem(OfItem):
    """Cuts a spoken reply to its first `audio_end_ms`; answered by `ItemTruncated`."""

    audio_end_ms: int


@dataclass(frozen=True, kw_only=True, slots=True)
class UpdateInstructions(OfConversation):
    """Replaces the system prompt; the whole conversation is prefilled again behind it.

    `instructions` None bring the checkpoint's own back, "" are none; `tools` are told in it too.
    """

    instructions: str | None
    tools: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class SetTruncation(OfConversation):
    """Says what to do when the context is full.

    With a `retention_ratio` the oldest items are forgotten until so much of the room for items is
    used, `items_tokens` of it at most; None refuses what does not fit, as a new conversation does.
    """

    retention_ratio: float | None
    items_tokens: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Respond(OfResponse):
    """Starts a reply that will be item `item_id`; ended by exactly one `ResponseDone`.

    `max_output_tokens` counts Thinker tokens. `instructions`, `tools` and `voice` replace the
    conversation's for this reply alone. `tool_choice` "required" makes the reply begin with a call,
    of `function` if one is named; "none" leaves the tools out.
    """

    item_id: str
    modalities: tuple[Modality, ...] = ("audio",)
    max_output_tokens: int | None = None
    instructions: str | None = None
    voice: str | None = None
    tools: tuple[str, ...] | None = None
    tool_choice: ToolChoice = "auto"
    function: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CancelResponse(OfResponse):
    """Stops a reply in every stage; with `heard_ms` its item is cut to what was heard.

    Without `heard_ms` the item keeps what was sent so far; a `TruncateItem` may still follow.
    """

    heard_ms: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Transcribe(OfItem):
    """Asks what a spoken item says, at low priority: `InputTranscript` or `TranscriptFailed`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CloseConversation(OfConversation):
    """Frees the conversation's slot; anything it still had running ends without a message."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ping:
    """Asks whether the loop turns; answered by a `Pong` with the same nonce."""

    nonce: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Shutdown:
    """Ends the engine process."""


# --- engine to gateway ------------------------------------------------------------------------


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
    """The end of a reply. `reason`: "max_output_tokens", "context_full", "client_cancelled"."""

    status: ResponseStatus
    reason: str | None = None
    error: ResponseError | None = None
    usage: Usage = field(default_factory=Usage)
    timings: StageTimings = field(default_factory=StageTimings)


@dataclass(frozen=True, kw_only=True, slots=True)
class InputTranscriptDelta(OfItem):
    """More of what the Thinker heard in a spoken item, as it writes it down."""

    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class InputTranscript(OfItem):
    """All of what the Thinker heard in a spoken item."""

    text: str


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Pong:
    """Answer to `Ping`."""

    nonce: int


Command = (
    OpenConversation
    | UserAudioStart
    | UserAudio
    | UserFrame
    | UserVideo
    | UserAudioPause
    | UserAudioStop
    | UserAudioDrop
    | AddItem
    | CopyItem
    | DeleteItem
    | TruncateItem
    | UpdateInstructions
    | SetTruncation
    | Respond
    | CancelResponse
    | Transcribe
    | CloseConversation
    | Ping
    | Shutdown
)

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
    | EngineFault
    | EngineLoad
    | Pong
)
