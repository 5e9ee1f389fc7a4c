"""Conversation items: what a client may create, what is kept, and what is shown.

Knows messages of text and speech. Function calls and their outputs are refused here until tools
are served; images, unless the model takes them. Audio itself is not kept: the engine has it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from streaming.protocol.commands import Role
from streaming.protocol.errors import CapabilityError, ProtocolError
from streaming.protocol.validation import Wire, shown, validated

ContentKind: TypeAlias = Literal["input_text", "input_audio", "output_text", "output_audio"]
ItemStatus: TypeAlias = Literal["in_progress", "completed", "incomplete"]
Object: TypeAlias = dict[str, Any]


@dataclass(slots=True)
class Content:
    """One part of an item: text, or speech of `audio_ms` with what is known of its words."""

    kind: ContentKind
    text: str | None = None
    audio_ms: int = 0

    def wire(self) -> Object:
        """The part as an item shows it; speech always has its `transcript` key."""
        if self.kind in ("input_audio", "output_audio"):
            return {"type": self.kind, "transcript": self.text}
        return {"type": self.kind, "text": self.text}


@dataclass(slots=True)
class Item:
    """A message of the conversation."""

    item_id: str
    role: Role
    status: ItemStatus = "completed"
    content: list[Content] = field(default_factory=list)

    @property
    def speech(self) -> Content | None:
        """The spoken part of an assistant's item, the one thing that can be truncated."""
        parts = (part for part in self.content if part.kind == "output_audio")
        return next(parts, None)

    def wire(self) -> Object:
        """The item as events show it."""
        return {
            "id": self.item_id,
            "object": "realtime.item",
            "type": "message",
            "status": self.status,
            "role": self.role,
            "content": [part.wire() for part in self.content],
        }


class InputText(Wire):
    """Written words for the model."""

    type: Literal["input_text"]
    text: str


class InputAudio(Wire):
    """Spoken words for the model; a transcript is kept for show only."""

    type: Literal["input_audio"]
    audio: str
    transcript: str | None = None


class InputImage(Wire):
    """A picture for the model, as a data URL."""

    type: Literal["input_image"]
    image_url: str
    detail: Literal["auto", "low", "high"] | None = None


class OutputText(Wire):
    """Words that the assistant is to have written."""

    type: Literal["output_text"]
    text: str


class OutputAudio(Wire):
    """Words that the assistant is to have spoken; known, so that it can be refused by name."""

    type: Literal["output_audio"]
    audio: str | None = None
    transcript: str | None = None


class _Message(Wire):
    """What all messages share; `status` has no effect, as in the API."""

    type: Literal["message"]
    id: str | None = Field(default=None, min_length=1)
    object: Literal["realtime.item"] | None = None
    status: Literal["completed", "incomplete", "in_progress"] | None = None


class SystemMessage(_Message):
    """An instruction in mid-conversation."""

    role: Literal["system"]
    content: list[InputText] = Field(min_length=1)


class UserMessage(_Message):
    """Something that the user said, wrote or showed."""

    role: Literal["user"]
    content: list[Annotated[InputText | InputAudio | InputImage, Field(discriminator="type")]] = (
        Field(min_length=1)
    )


class AssistantMessage(_Message):
    """Something that the assistant said before."""

    role: Literal["assistant"]
    content: list[Annotated[OutputText | OutputAudio, Field(discriminator="type")]] = Field(
        min_length=1
    )


Message: TypeAlias = SystemMessage | UserMessage | AssistantMessage

_MESSAGES: dict[str, type[SystemMessage] | type[UserMessage] | type[AssistantMessage]] = {
    "system": SystemMessage,
    "user": UserMessage,
    "assistant": AssistantMessage,
}
_NOT_SERVED = {
    "function_call",
    "function_call_output",
    "mcp_call",
    "mcp_list_tools",
    "mcp_approval_request",
    "mcp_approval_response",
}


def parsed_message(item: Object) -> Message:
    """The message in a client's item.

    Raises:
        ProtocolError: Wrong fields, or a kind of item that is not served.
    """
    kind = item.get("type")
    if isinstance(kind, str) and kind in _NOT_SERVED:
        raise CapabilityError(f"Items of type '{kind}' are not served; 'message' is.", "item.type")
    if kind != "message":
        raise _choice("item.type", kind, ["message"], missing="type" not in item)
    role = item.get("role")
    if not isinstance(role, str) or role not in _MESSAGES:
        raise _choice("item.role", role, list(_MESSAGES), missing="role" not in item)
    return validated(_MESSAGES[role], item, under="item")


def _choice(param: str, value: object, choices: list[str], *, missing: bool) -> ProtocolError:
    if missing:
        message = f"Missing required parameter: '{param}'."
        return ProtocolError("missing_required_parameter", message, param)
    names = ", ".join(f"'{choice}'" for choice in choices)
    message = f"Invalid value: {shown(value)}. Supported values are: {names}."
    return ProtocolError("invalid_value", message, param)
