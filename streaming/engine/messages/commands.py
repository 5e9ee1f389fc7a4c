"""What the gateway tells the engine: `Command`.

Sound is raw bytes: float32 little-endian samples, 16 kHz, mono.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from streaming.engine.messages.address import OfConversation, OfItem, OfResponse
from streaming.engine.messages.content import Frame, Part, Role, VideoPart

Modality = Literal["text", "audio"]
ToolChoice = Literal["auto", "none", "required"]

# Where an item belongs behind another: before everything else.
FRONT = "root"


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
    """Adds a complete item; `previous_item_id` None appends, `FRONT` puts it first."""

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
    Answered by `InstructionsUpdated` or `InstructionsRefused`, which bear its `update_id`.
    """

    instructions: str | None
    tools: tuple[str, ...] = ()
    update_id: str = ""


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
    conversation's for this reply alone. `tool_choice` "required" makes the reply begin with a call
    of one of the tools, of `function` if one is named, and is refused where there is none; "none"
    leaves the tools out. Without `parallel_tool_calls` the reply ends behind its first call.
    """

    item_id: str
    modalities: tuple[Modality, ...] = ("audio",)
    max_output_tokens: int | None = None
    instructions: str | None = None
    voice: str | None = None
    tools: tuple[str, ...] | None = None
    tool_choice: ToolChoice = "auto"
    function: str | None = None
    parallel_tool_calls: bool = True


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
