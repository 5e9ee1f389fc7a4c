"""`POST /v1/chat/completions`: what is asked, as items and options of the engine.

Knows which parts of a request (`completion_wire`) are served. Does not decode sound files (whoever
serves it does) and knows no HTTP. Options that change nothing are listed in `Asked.not_applied`,
and the answer says so; nothing is ignored in silence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from streaming.protocol.commands import (
    Modality,
    Role,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from streaming.protocol.completion_parts import MediaFile, asked_part, text_of
from streaming.protocol.completion_wire import (
    AssistantMessage,
    CompletionRequest,
    Message,
    SystemMessage,
    ToolMessage,
    UserMessage,
)
from streaming.protocol.errors import CapabilityError, ProtocolError
from streaming.protocol.limits import Limits, ModelProfile
from streaming.protocol.nested_tools import flat_choice, flat_tool, is_strict
from streaming.protocol.session_config import refuse_modality, voice_named
from streaming.protocol.tools import Tools, parsed_tools
from streaming.protocol.validation import shown, validated

Object: TypeAlias = dict[str, Any]

# What may be asked for and changes nothing: the checkpoint draws its words as it was made to.
_NOT_APPLIED = (
    "temperature",
    "top_p",
    "top_k",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "reasoning_effort",
    "service_tier",
    "store",
    "metadata",
    "user",
    "safety_identifier",
    "prompt_cache_key",
)
# What would change the answer, and cannot.
_UNSERVED = ("stop", "logprobs", "top_logprobs", "logit_bias")
FILE_FORMATS = ("wav", "flac", "mp3", "opus")
STREAM_FORMATS = ("pcm16", "wav")


AskedPart: TypeAlias = TextPart | MediaFile | ToolCallPart | ToolResultPart


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedItem:
    """One message of the conversation, or a call in one; `param` is its place in the request."""

    role: Role
    parts: tuple[AskedPart, ...]
    param: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request, checked.

    Attributes:
        model: What the client calls the model.
        instructions: The system message; None is the model's own.
        items: The conversation behind it.
        modality: Of the answer; one in "audio" has its words too.
        voice: Of the answer.
        audio_format: How the answer's sound is coded.
        tools: Functions that it may call.
        parallel_tool_calls: Whether it may call more than one.
        max_tokens: Bound of its text; None is the context's.
        stream: Whether it comes in pieces.
        include_usage: Whether a stream ends with its usage.
        not_applied: Options that change nothing.
    """

    model: str
    instructions: str | None
    items: tuple[AskedItem, ...]
    modality: Modality
    voice: str | None
    audio_format: str
    tools: Tools
    parallel_tool_calls: bool
    max_tokens: int | None
    stream: bool
    include_usage: bool
    not_applied: tuple[str, ...]


def parsed_request(body: object, profile: ModelProfile, limits: Limits) -> Asked:
    """What a request's JSON body asks for.

    Raises:
        ProtocolError: It is wrong, or asks for what is not served.
    """
    request = validated(CompletionRequest, body, under="")
    _refuse_unserved(request)
    _check_results(request.messages)
    stream = bool(request.stream)
    modality = _modality(request, profile, stream=stream)
    tools = [flat_tool(tool, f"tools[{i}]") for i, tool in enumerate(request.tools or [])]
    choice = "auto" if request.tool_choice is None else request.tool_choice
    voice = request.audio.voice if request.audio else None
    limits.check_tools(len(tools), param="tools")
    instructions, messages = _instructions(request.messages)
    asked = Asked(
        model=request.model,
        instructions=instructions,
        items=tuple(
            item
            for place, message in messages
            for item in _items(message, f"messages[{place}]", profile)
        ),
        modality=modality,
        voice=voice_named(voice, profile, param="audio.voice") if modality == "audio" else None,
        audio_format=request.audio.format if request.audio else "pcm16",
        tools=parsed_tools(tools, flat_choice(choice), under=""),
        parallel_tool_calls=request.parallel_tool_calls is not False,
        max_tokens=request.max_completion_tokens or request.max_tokens,
        stream=stream,
        include_usage=bool(request.stream_options and request.stream_options.include_usage),
        not_applied=_not_applied(request, modality),
    )
    _check_items(asked, limits)
    _check_texts(asked, limits)
    return asked


def _refuse_unserved(request: CompletionRequest) -> None:
    for name in _UNSERVED:
        if getattr(request, name):
            raise CapabilityError(f"'{name}' is not served; leave it out.", name)


def _check_results(messages: list[Message]) -> None:
    """Raises ProtocolError for a function's result whose call does not stand before it."""
    called: set[str] = set()
    for place, message in enumerate(messages):
        match message:
            case AssistantMessage(tool_calls=list(calls)):
                called.update(call.id for call in calls)
            case ToolMessage(tool_call_id=call_id) if call_id not in called:
                raise ProtocolError(
                    "invalid_tool_call_id",
                    f"Tool call ID {shown(call_id)} not found in the messages before.",
                    f"messages[{place}].tool_call_id",
                )


def _modality(request: CompletionRequest, profile: ModelProfile, *, stream: bool) -> Modality:
    kind = (request.response_format or {}).get("type", "text")
    if kind != "text":
        message = f"A response_format of {shown(kind)} is not served; 'text' is."
        raise CapabilityError(message, "response_format.type")
    if "audio" not in (request.modalities or ["text"]):
        return "text"
    refuse_modality("audio", profile, param="modalities")
    if request.audio is None:
        message = "Missing required parameter: 'audio', for a spoken answer."
        raise ProtocolError("missing_required_parameter", message, "audio")
    served = STREAM_FORMATS if stream else ("pcm16", *FILE_FORMATS)
    if request.audio.format not in served:
        how = "in a stream" if stream else "whole"
        names = ", ".join(map(repr, served))
        message = f"'{request.audio.format}' is not served {how}; {names} are."
        raise CapabilityError(message, "audio.format")
    return "audio"


def _not_applied(request: CompletionRequest, modality: Modality) -> tuple[str, ...]:
    names = [name for name in _NOT_APPLIED if getattr(request, name) is not None]
    options = request.stream_options
    # The sound and the name of a message that was said before: its words are what is read.
    told = {
        name for message in request.messages for name in ("audio", "name") if _has(message, name)
    }
    unused = {
        "audio": request.audio is not None and modality == "text",
        "max_tokens": None not in (request.max_tokens, request.max_completion_tokens),
        "stream_options.include_obfuscation": bool(options and options.include_obfuscation),
        "tools.strict": any(map(is_strict, request.tools or [])),
        "messages.audio": "audio" in told,
        "messages.name": "name" in told,
    }
    return (*names, *(name for name, is_unused in unused.items() if is_unused))


def _has(message: Message, name: str) -> bool:
    return getattr(message, name, None) is not None


def _instructions(messages: list[Message]) -> tuple[str | None, list[tuple[int, Message]]]:
    """The system message that comes first, and the other messages with their places."""
    placed = list(enumerate(messages))
    first = messages[0]
    if isinstance(first, SystemMessage):
        return text_of(first.content), placed[1:]
    return None, placed


def _items(message: Message, param: str, profile: ModelProfile) -> list[AskedItem]:
    role: Role
    parts: list[AskedPart]
    match message:
        case SystemMessage(content=content):
            role, parts = "system", [TextPart(text=text_of(content))]
        case UserMessage(content=str(text)):
            role, parts = "user", [TextPart(text=text)]
        case UserMessage(content=list(content)):
            role = "user"
            parts = [asked_part(p, f"{param}.content[{i}]", profile) for i, p in enumerate(content)]
        case ToolMessage(content=content):
            role, parts = "user", [ToolResultPart(output=text_of(content))]
        case AssistantMessage():
            return _said(message, param)
    return [AskedItem(role=role, parts=tuple(parts), param=f"{param}.content")]


def _said(message: AssistantMessage, param: str) -> list[AskedItem]:
    if message.audio is not None and message.content is None:
        raise CapabilityError(
            "The sound of earlier answers is not kept; send its words as 'content'.",
            f"{param}.audio",
        )
    items: list[AskedItem] = []
    words = [text_of(message.content or ""), message.refusal or ""]
    if said := tuple(TextPart(text=text) for text in words if text):
        items.append(AskedItem(role="assistant", parts=said, param=f"{param}.content"))
    for place, call in enumerate(message.tool_calls or []):
        part = ToolCallPart(name=call.function.name, arguments=call.function.arguments)
        at = f"{param}.tool_calls[{place}]"
        items.append(AskedItem(role="assistant", parts=(part,), param=at))
    return items


def _check_items(asked: Asked, limits: Limits) -> None:
    if not asked.items:
        raise ProtocolError("invalid_value", "There is no message to answer.", "messages")
    if len(asked.items) > limits.max_items:
        raise ProtocolError(
            "array_above_max_length",
            f"Invalid 'messages': {len(asked.items)} items, expected at most {limits.max_items} "
            "(max_items).",
            "messages",
        )


def _check_texts(asked: Asked, limits: Limits) -> None:
    """The engine reads every text at one go, while others wait: each is bounded, and all are."""
    texts = {item.param: sum(map(_chars, item.parts)) for item in asked.items}
    if asked.instructions is not None:
        texts["messages[0].content"] = len(asked.instructions)
    for place, text in enumerate(asked.tools.texts):
        texts[f"tools[{place}]"] = len(text)
    for param, chars in texts.items():
        limits.check_text(chars, param=param)
    limits.check_request(sum(texts.values()), param="messages")


def _chars(part: AskedPart) -> int:
    match part:
        case TextPart(text=text) | ToolResultPart(output=text):
            return len(text)
        case ToolCallPart(name=name, arguments=arguments):
            return len(name) + len(arguments)
        case _:
            return 0
