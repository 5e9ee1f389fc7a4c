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
from streaming.protocol.completion_wire import (
    AssistantMessage,
    CompletionRequest,
    Film,
    Frames,
    Message,
    Picture,
    Sound,
    SoundData,
    SystemMessage,
    Text,
    ToolMessage,
    UserMessage,
)
from streaming.protocol.errors import CapabilityError, ProtocolError
from streaming.protocol.limits import Limits, ModelProfile
from streaming.protocol.session_config import refuse_modality, voice_named
from streaming.protocol.tools import Tools, parsed_tools
from streaming.protocol.validation import shown, validated
from streaming.protocol.wire_image import data_of, decoded

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
    "parallel_tool_calls",
    "reasoning_effort",
    "service_tier",
    "store",
    "metadata",
    "user",
    "safety_identifier",
    "prompt_cache_key",
)
FILE_FORMATS = ("wav", "flac", "mp3", "opus")
STREAM_FORMATS = ("pcm16", "wav")
# Frames a second of a video whose pace is not given, as the published processor takes it.
DEFAULT_FPS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundFile:
    """A sound file that is still to be decoded; `param` is its place in the request."""

    data: bytes
    kind: str | None
    param: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFile:
    """An image that is still to be decoded; one of `low` detail may be scaled down."""

    data: bytes
    low: bool
    param: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFile:
    """A video file, with its sound, that is still to be decoded, `fps` frames a second."""

    data: bytes
    fps: float
    param: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameFiles:
    """A silent video's frames, `fps` a second, that are still to be decoded."""

    files: tuple[bytes, ...]
    fps: float
    param: str


MediaFile: TypeAlias = SoundFile | ImageFile | VideoFile | FrameFiles
AskedPart: TypeAlias = TextPart | MediaFile | ToolCallPart | ToolResultPart


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedItem:
    """One message of the conversation."""

    role: Role
    parts: tuple[AskedPart, ...]


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
    stream = bool(request.stream)
    modality = _modality(request, profile, stream=stream)
    tools = [_flat(tool, f"tools[{i}]") for i, tool in enumerate(request.tools or [])]
    choice = "auto" if request.tool_choice is None else request.tool_choice
    instructions, messages = _instructions(request.messages)
    items = [
        item
        for place, message in messages
        for item in _items(message, f"messages[{place}]", profile, limits)
    ]
    if not items:
        raise ProtocolError("invalid_value", "There is no message to answer.", "messages")
    if len(items) > limits.max_items:
        raise ProtocolError(
            "array_above_max_length",
            f"Invalid 'messages': {len(items)} items, expected at most {limits.max_items} "
            "(max_items).",
            "messages",
        )
    voice = request.audio.voice if request.audio else None
    return Asked(
        model=request.model,
        instructions=instructions,
        items=tuple(items),
        modality=modality,
        voice=_voice(voice, profile) if modality == "audio" else None,
        audio_format=request.audio.format if request.audio else "pcm16",
        tools=parsed_tools(tools, _flat_choice(choice), under=""),
        max_tokens=request.max_completion_tokens or request.max_tokens,
        stream=stream,
        include_usage=bool(request.stream_options and request.stream_options.include_usage),
        not_applied=tuple(n for n in _NOT_APPLIED if getattr(request, n) is not None),
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


def _voice(voice: str | Object | None, profile: ModelProfile) -> str | None:
    name = voice.get("id") if isinstance(voice, dict) else voice
    if name is not None and not isinstance(name, str):
        message = f"Invalid type for 'audio.voice': {shown(voice)}."
        raise ProtocolError("invalid_type", message, "audio.voice")
    return voice_named(name, profile, param="audio.voice")


def _flat(tool: Object, param: str) -> Object:
    """A tool in the flat form of the Realtime API, of the nested one of this."""
    function = tool.get("function")
    if tool.get("type") != "function" or not isinstance(function, dict):
        message = f"Invalid value: {shown(tool.get('type'))}. Only 'function' tools are served."
        raise ProtocolError("invalid_value", message, f"{param}.type")
    return {"type": "function", **{k: v for k, v in function.items() if k != "strict"}}


def _flat_choice(choice: str | Object) -> str | Object:
    if isinstance(choice, dict) and isinstance(choice.get("function"), dict):
        return {"type": "function", "name": choice["function"].get("name")}
    return choice


def _instructions(messages: list[Message]) -> tuple[str | None, list[tuple[int, Message]]]:
    """The system message that comes first, and the other messages with their places."""
    placed = list(enumerate(messages))
    first = messages[0]
    if isinstance(first, SystemMessage):
        return _text(first.content), placed[1:]
    return None, placed


def _items(message: Message, param: str, profile: ModelProfile, limits: Limits) -> list[AskedItem]:
    match message:
        case SystemMessage(content=content):
            items = [AskedItem(role="system", parts=(TextPart(text=_text(content)),))]
        case UserMessage(content=str(text)):
            items = [AskedItem(role="user", parts=(TextPart(text=text),))]
        case UserMessage(content=parts):
            assert isinstance(parts, list)
            asked = [_part(p, f"{param}.content[{i}]", profile) for i, p in enumerate(parts)]
            items = [AskedItem(role="user", parts=tuple(asked))]
        case ToolMessage(content=content):
            items = [AskedItem(role="user", parts=(ToolResultPart(output=_text(content)),))]
        case AssistantMessage():
            items = _said(message, param)
    chars = sum(len(p.text) for item in items for p in item.parts if isinstance(p, TextPart))
    if chars > limits.max_text_chars:
        raise ProtocolError(
            "string_above_max_length",
            f"Invalid '{param}.content': {chars} characters of text, expected at most "
            f"{limits.max_text_chars} (max_text_chars).",
            f"{param}.content",
        )
    return items


def _said(message: AssistantMessage, param: str) -> list[AskedItem]:
    if message.audio is not None and message.content is None:
        raise CapabilityError(
            "The sound of earlier answers is not kept; send its words as 'content'.",
            f"{param}.audio",
        )
    items = []
    if message.content:
        items.append(AskedItem(role="assistant", parts=(TextPart(text=_text(message.content)),)))
    for call in message.tool_calls or []:
        part = ToolCallPart(name=call.function.name, arguments=call.function.arguments)
        items.append(AskedItem(role="assistant", parts=(part,)))
    return items


def _part(
    part: Text | Sound | Picture | Film | Frames, param: str, profile: ModelProfile
) -> TextPart | MediaFile:
    match part:
        case Text(text=text):
            return TextPart(text=text)
        case Picture(image_url=url):
            profile.require("image", param=f"{param}.type")
            place = f"{param}.image_url.url"
            low = url.detail == "low"
            return ImageFile(data=data_of(url.url, param=place), low=low, param=place)
        case Film(video_url=url, fps=fps):
            profile.require("video", param=f"{param}.type")
            place = f"{param}.video_url.url"
            data = data_of(url.url, param=place, what="video")
            return VideoFile(data=data, fps=fps or DEFAULT_FPS, param=place)
        case Frames(video=urls, fps=fps):
            profile.require("video", param=f"{param}.type")
            place = f"{param}.video"
            files = tuple(data_of(url, param=f"{place}[{i}]") for i, url in enumerate(urls))
            return FrameFiles(files=files, fps=fps or DEFAULT_FPS, param=place)
        case Sound(input_audio=sound):
            profile.require("audio", param=f"{param}.type")
            return _sound(sound, f"{param}.input_audio.data")


def _sound(sound: SoundData, param: str) -> SoundFile:
    data = sound.data
    if data.startswith(("http://", "https://", "file:")):
        message = "A URL is never fetched here; send the file in base64."
        raise CapabilityError(message, param)
    if data.startswith("data:"):
        data = data.partition(",")[2]
    file = decoded(data, param=param, what="sound file")
    return SoundFile(data=file, kind=sound.format, param=param)


def _text(content: str | list[Text]) -> str:
    return content if isinstance(content, str) else "".join(part.text for part in content)
