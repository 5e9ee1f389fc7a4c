"""Conversation items: what a client may create, what is kept, and what is shown.

Knows messages of text, speech and images, function calls and their outputs. Items of MCP are
refused here. Audio and images themselves are not kept: the engine has them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from streaming.protocol.commands import Role
from streaming.protocol.errors import CapabilityError, ProtocolError
from streaming.protocol.validation import Wire, shown, validated

ContentKind: TypeAlias = Literal[
    "input_text", "input_audio", "input_image", "output_text", "output_audio"
]
ItemStatus: TypeAlias = Literal["in_progress", "completed", "incomplete"]
Object: TypeAlias = dict[str, Any]


@dataclass(slots=True)
class Content:
    """One part of an item: text, or speech of `audio_ms` with what is known of its words.

    The client hears it at `speed` times the pace at which the engine speaks. Of an image there is
    its `detail` only; the client has the picture. Of speech that is `quoted` there are the words
    only: a client brought them without their sound.
    """

    kind: ContentKind
    text: str | None = None
    audio_ms: int = 0
    speed: float = 1.0
    detail: str | None = None
    quoted: bool = False

    def wire(self) -> Object:
        """The part as an item shows it; speech always has its `transcript` key."""
        if self.kind in ("input_audio", "output_audio"):
            return {"type": self.kind, "transcript": self.text}
        if self.kind == "input_image":
            return {"type": self.kind, "detail": self.detail or "auto"}
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
        spoken = (part for part in self.content if part.kind == "output_audio" and not part.quoted)
        return next(spoken, None)

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


@dataclass(slots=True)
class CallItem:
    """A function call of the assistant; `arguments` is JSON, perhaps broken off."""

    item_id: str
    call_id: str
    name: str
    arguments: str = ""
    status: ItemStatus = "completed"

    @property
    def speech(self) -> None:
        """Nothing of it is spoken."""
        return

    def wire(self) -> Object:
        """The item as events show it."""
        return {
            "id": self.item_id,
            "object": "realtime.item",
            "type": "function_call",
            "status": self.status,
            "call_id": self.call_id,
            "name": self.name,
            "arguments": self.arguments,
        }


@dataclass(slots=True)
class ResultItem:
    """What a function gave back for the call `call_id`."""

    item_id: str
    call_id: str
    output: str
    status: ItemStatus = "completed"

    @property
    def speech(self) -> None:
        """Nothing of it is spoken."""
        return

    def wire(self) -> Object:
        """The item as events show it."""
        return {
            "id": self.item_id,
            "object": "realtime.item",
            "type": "function_call_output",
            "status": self.status,
            "call_id": self.call_id,
            "output": self.output,
        }


AnyItem: TypeAlias = Item | CallItem | ResultItem


class InputText(Wire):
    """Written words for the model."""

    type: Literal["input_text"]
    text: str


class InputAudio(Wire):
    """Spoken words for the model; the transcript is for show only, unless there is no audio."""

    type: Literal["input_audio"]
    audio: str | None = None
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
    """Words that the assistant is to have spoken; its `audio` is refused by name."""

    type: Literal["output_audio"]
    audio: str | None = None
    transcript: str | None = None


class _Created(Wire):
    """What all items share; `status` has no effect, as in the API."""

    id: str | None = Field(default=None, min_length=1)
    object: Literal["realtime.item"] | None = None
    status: Literal["completed", "incomplete", "in_progress"] | None = None


class FunctionCall(_Created):
    """A call that the assistant is to have made."""

    type: Literal["function_call"]
    name: str = Field(min_length=1, max_length=64)
    arguments: str
    call_id: str | None = Field(default=None, min_length=1)


class FunctionCallOutput(_Created):
    """What a function gave back."""

    type: Literal["function_call_output"]
    call_id: str
    output: str


class _Message(_Created):
    """What all messages share."""

    type: Literal["message"]


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
CreatedItem: TypeAlias = Message | FunctionCall | FunctionCallOutput

_MESSAGES: dict[str, type[SystemMessage] | type[UserMessage] | type[AssistantMessage]] = {
    "system": SystemMessage,
    "user": UserMessage,
    "assistant": AssistantMessage,
}
_FUNCTIONS: dict[str, type[FunctionCall] | type[FunctionCallOutput]] = {
    "function_call": FunctionCall,
    "function_call_output": FunctionCallOutput,
}
_NOT_SERVED = {
    "mcp_call",
    "mcp_list_tools",
    "mcp_approval_request",
    "mcp_approval_response",
}


def parsed_item(item: Object, *, under: str = "item") -> CreatedItem:
    """A client's item, which stands at the path `under` of its event.

    Raises:
        ProtocolError: Wrong fields, or a kind of item that is not served.
    """
    kind = item.get("type")
    if isinstance(kind, str) and kind in _NOT_SERVED:
        message = f"Items of type '{kind}' are not served; 'message' is."
        raise CapabilityError(message, f"{under}.type")
    if isinstance(kind, str) and kind in _FUNCTIONS:
        return validated(_FUNCTIONS[kind], item, under=under)
    if kind != "message":
        choices = ["message", *_FUNCTIONS]
        raise _choice(f"{under}.type", kind, choices, missing="type" not in item)
    role = item.get("role")
    if not isinstance(role, str) or role not in _MESSAGES:
        raise _choice(f"{under}.role", role, list(_MESSAGES), missing="role" not in item)
    return validated(_MESSAGES[role], item, under=under)


def _choice(param: str, value: object, choices: list[str], *, missing: bool) -> ProtocolError:
    if missing:
        message = f"Missing required parameter: '{param}'."
        return ProtocolError("missing_required_parameter", message, param)
    names = ", ".join(f"'{choice}'" for choice in choices)
    message = f"Invalid value: {shown(value)}. Supported values are: {names}."
    return ProtocolError("invalid_value", message, param)
