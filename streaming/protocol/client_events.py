"""The client events: their fields, and one frame to one of them.

Knows the shape of each event. The insides of a session and of an item are checked by those who
know them (`session_config`, `items`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from streaming.protocol.errors import ProtocolError
from streaming.protocol.limits import Limits
from streaming.protocol.session_options import MaxTokens, OutputModalities, Voice
from streaming.protocol.validation import Wire, shown, validated
from streaming.protocol.wire_audio import WireFormat
from streaming.protocol.wire_json import read_object

Object: TypeAlias = dict[str, Any]
Metadata: TypeAlias = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]],
    Field(max_length=16),
]


class ClientEvent(Wire):
    """What all client events share."""

    type: str
    event_id: str | None = None


class SessionUpdate(ClientEvent):
    """Change options."""

    session: Object


class AudioAppend(ClientEvent):
    """More of what the microphone hears."""

    audio: str


class ImageAppend(ClientEvent):
    """What the camera sees now: a JPEG, PNG or WebP file in base64. Not of OpenAI's API."""

    image: str


class AudioCommit(ClientEvent):
    """The user's turn ends here."""


class AudioClear(ClientEvent):
    """Forget the input buffer."""


class OutputAudioClear(ClientEvent):
    """Stop playout on the server (WebRTC only)."""


class ItemCreate(ClientEvent):
    """Add an item; `previous_item_id` "root" puts it first, absent or null last."""

    item: Object
    previous_item_id: str | None = None


class ItemRetrieve(ClientEvent):
    """Show an item."""

    item_id: str


class ItemDelete(ClientEvent):
    """Take an item out."""

    item_id: str


class ItemTruncate(ClientEvent):
    """Cut a spoken item to what was played."""

    item_id: str
    content_index: int = Field(ge=0)
    audio_end_ms: int = Field(ge=0)


class ResponseAudioOutput(Wire):
    """Sound of one response."""

    format: WireFormat | None = None
    voice: str | Voice | None = None


class ResponseAudio(Wire):
    """The one direction that a response has."""

    output: ResponseAudioOutput | None = None


class ResponseParams(Wire):
    """Options of one response; what is absent comes from the session."""

    audio: ResponseAudio | None = None
    conversation: Literal["auto", "none"] | None = None
    input: list[Object] | None = None
    instructions: str | None = None
    max_output_tokens: MaxTokens | None = None
    metadata: Metadata | None = None
    output_modalities: OutputModalities | None = None
    parallel_tool_calls: bool | None = None
    prompt: Object | None = None
    reasoning: Object | None = None
    tool_choice: str | Object | None = None
    tools: list[Object] | None = None


class ResponseCreate(ClientEvent):
    """Answer now."""

    response: ResponseParams | None = None


class ResponseCancel(ClientEvent):
    """Stop answering."""

    response_id: str | None = None


CLIENT_EVENTS: dict[str, type[ClientEvent]] = {
    "session.update": SessionUpdate,
    "input_audio_buffer.append": AudioAppend,
    "input_image_buffer.append": ImageAppend,
    "input_audio_buffer.commit": AudioCommit,
    "input_audio_buffer.clear": AudioClear,
    "conversation.item.create": ItemCreate,
    "conversation.item.retrieve": ItemRetrieve,
    "conversation.item.truncate": ItemTruncate,
    "conversation.item.delete": ItemDelete,
    "response.create": ResponseCreate,
    "response.cancel": ResponseCancel,
    "output_audio_buffer.clear": OutputAudioClear,
}

# Only these may be as large as a frame may be at all.
BULKY = {"input_audio_buffer.append", "input_image_buffer.append", "conversation.item.create"}


def decoded(frame: str | bytes, limits: Limits) -> Object:
    """The JSON object in a frame.

    Raises:
        ProtocolError: Too large, not JSON, nested too deeply, or not an object.
    """
    size = len(frame)
    if size > limits.max_event_bytes:
        raise ProtocolError(
            "message_too_large",
            f"The message has {size} bytes, more than {limits.max_event_bytes} (max_event_bytes).",
        )
    return read_object(frame, "The message")


def event_id_of(value: Object) -> str | None:
    """The client's id of an event that may be wrong in every other way."""
    event_id = value.get("event_id")
    return event_id if isinstance(event_id, str) else None


def parsed(value: Object, size_bytes: int, limits: Limits) -> ClientEvent:
    """The event in a JSON object that came in a frame of `size_bytes`.

    Raises:
        ProtocolError: Unknown type, wrong fields, or too large for its kind.
    """
    kind = value.get("type")
    if kind is None:
        raise ProtocolError("invalid_event", "The 'type' field is missing.", "type")
    if not isinstance(kind, str) or kind not in CLIENT_EVENTS:
        choices = ", ".join(f"'{name}'" for name in CLIENT_EVENTS)
        message = f"Invalid value: {shown(kind)}. Supported values are: {choices}."
        raise ProtocolError("invalid_value", message, "type")
    if size_bytes > limits.max_options_bytes and kind not in BULKY:
        message = (
            f"A {kind} of {size_bytes} bytes is larger than {limits.max_options_bytes} "
            "(max_options_bytes)."
        )
        raise ProtocolError("message_too_large", message)
    event = validated(CLIENT_EVENTS[kind], value, under="")
    if event.event_id is not None and len(event.event_id) > limits.max_id_chars:
        message = (
            f"Invalid 'event_id': {len(event.event_id)} characters, expected at most "
            f"{limits.max_id_chars} (max_id_chars)."
        )
        raise ProtocolError("string_above_max_length", message, "event_id")
    return event
