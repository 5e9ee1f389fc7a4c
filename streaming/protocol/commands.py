"""What a session asks the engine to do, in the order in which it must be done.

Knows item and response ids, audio as 16 kHz float32 little-endian mono bytes, and nothing of how
a command travels. The server translates each command to one engine message; it never reorders
or drops one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Modality: TypeAlias = Literal["text", "audio"]
Role: TypeAlias = Literal["system", "user", "assistant"]
ToolChoice: TypeAlias = Literal["auto", "none", "required"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextPart:
    """A piece of text inside an item."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioPart:
    """A piece of speech inside an item; `pcm` is float32 LE, 16 kHz, mono."""

    pcm: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One picture: RGB, 8 bits each, row by row."""

    pixels: bytes
    rows: int
    columns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePart:
    """A still image inside a user's item."""

    frame: Frame


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoPart:
    """A video inside a user's item; `pcm` is the sound heard with it, None if it is silent."""

    frames: tuple[Frame, ...]
    frames_per_second: float
    pcm: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallPart:
    """A function call of the assistant; `arguments` is JSON."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResultPart:
    """What a function gave back."""

    output: str


Part: TypeAlias = TextPart | AudioPart | ImagePart | VideoPart | ToolCallPart | ToolResultPart


@dataclass(frozen=True, slots=True, kw_only=True)
class StartUserAudio:
    """The user's turn opens: audio of `item_id` follows."""

    item_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendUserAudio:
    """More of the user's turn; `pcm` is float32 LE, 16 kHz, mono."""

    item_id: str
    pcm: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendUserFrame:
    """What the camera saw at second n / `frames_per_second` of the turn, n counting from 0."""

    item_id: str
    frame: Frame
    frames_per_second: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowUserVideo:
    """What the camera saw before the turn, or behind its sound if some of that has come."""

    item_id: str
    video: VideoPart


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseUserAudio:
    """Silence has begun: prefill what is there. More audio of the item takes it back."""

    item_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitUserAudio:
    """The user's turn is complete and is now a conversation item."""

    item_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DropUserAudio:
    """The user's turn is thrown away, as if it had never been heard."""

    item_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestTranscript:
    """Say, when convenient, what was heard in the audio of a committed item."""

    item_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateItem:
    """Add a message behind `previous_item_id`; None puts it at the front of the conversation.

    The id before it is always spelled out. It may name an item that the client cannot see yet: the
    user's open turn or the running response's item.
    """

    item_id: str
    previous_item_id: str | None
    role: Role
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteItem:
    """Take an item out of the conversation."""

    item_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TruncateItem:
    """Cut a finished spoken item to its first `audio_end_ms`; answered by `ItemTruncated`."""

    item_id: str
    audio_end_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateInstructions:
    """The system message of the conversation changed; `tools` are JSON texts, told in it too.

    Empty `instructions` are none: the model's own never come back by themselves. Answered by
    `InstructionsUpdated` or `InstructionsRefused`.
    """

    update_id: str
    instructions: str
    tools: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetTruncation:
    """Forget the oldest items when the context is full, or (None) refuse what does not fit.

    They are forgotten until `retention_ratio` of the room for items is used, of which there are
    `items_tokens` at most.
    """

    retention_ratio: float | None
    items_tokens: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StartResponse:
    """Answer the conversation as it stands; the answer becomes `item_id`.

    `instructions` and `tools` replace the conversation's for this response only; None keeps them.
    With the choice "required" it must call a function, the one named if there is one.
    `max_output_tokens` None means as many as the context takes. Without `parallel_tool_calls` the
    answer ends behind its first call.
    """

    response_id: str
    item_id: str
    modality: Modality
    voice: str | None
    instructions: str | None
    max_output_tokens: int | None
    tools: tuple[str, ...] | None
    tool_choice: ToolChoice
    function: str | None
    parallel_tool_calls: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelResponse:
    """Stop a response; answered by `ReplyDone`. `heard_ms` is what was played, if known."""

    response_id: str
    heard_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyItem:
    """Add the same as `source_item_id` of the session's conversation; only aside."""

    item_id: str
    source_item_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAside:
    """Open a second conversation, for the one response `response_id` that is no part of the first.

    With `copies_items` it begins with all complete items of the first; its system message is the
    first one's but for `instructions` and `tools`.
    """

    response_id: str
    instructions: str | None
    tools: tuple[str, ...] | None
    voice: str | None
    copies_items: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Aside:
    """Do something in the second conversation of a response; ended by its `ReplyDone`."""

    response_id: str
    command: CreateItem | CopyItem | StartResponse | CancelResponse


Command: TypeAlias = (
    StartUserAudio
    | AppendUserAudio
    | AppendUserFrame
    | ShowUserVideo
    | PauseUserAudio
    | CommitUserAudio
    | DropUserAudio
    | RequestTranscript
    | CreateItem
    | DeleteItem
    | TruncateItem
    | UpdateInstructions
    | SetTruncation
    | StartResponse
    | CancelResponse
    | OpenAside
    | Aside
)
