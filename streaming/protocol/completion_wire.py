"""The body of `POST /v1/chat/completions`: its fields and messages, as its clients send them.

Knows names, types and ranges, of OpenAI's form and of DashScope's. Does not know which of them are
served (`completion_request`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from streaming.protocol.session_options import Voice
from streaming.protocol.validation import Wire

Object: TypeAlias = dict[str, Any]


class Text(Wire):
    """Written words."""

    type: Literal["text"]
    text: str


class SoundData(Wire):
    """A sound file in base64, bare or as a data URL."""

    data: str
    format: str | None = None


class Sound(Wire):
    """Spoken words."""

    type: Literal["input_audio"]
    input_audio: SoundData


class Url(Wire):
    """A data URL; `detail` "low" lets an image be scaled down."""

    url: str
    detail: Literal["auto", "low", "high"] | None = None


class Picture(Wire):
    """An image."""

    type: Literal["image_url"]
    image_url: Url


class FilmUrl(Wire):
    """A data URL; all of a video is looked at with the same care."""

    url: str


class Film(Wire):
    """A video file with its sound. Not of OpenAI's form."""

    type: Literal["video_url"]
    video_url: FilmUrl
    fps: Annotated[float, Field(gt=0, le=30)] | None = None


class Frames(Wire):
    """A silent video as a list of images, `fps` a second. Not of OpenAI's form."""

    type: Literal["video"]
    video: Annotated[list[str], Field(min_length=1)]
    fps: Annotated[float, Field(gt=0, le=30)] | None = None


UserPart: TypeAlias = Annotated[Text | Sound | Picture | Film | Frames, Field(discriminator="type")]


class SystemMessage(Wire):
    """Instructions."""

    role: Literal["system", "developer"]
    content: str | list[Text]
    name: str | None = None


class UserMessage(Wire):
    """What the user wrote, said and showed."""

    role: Literal["user"]
    content: str | Annotated[list[UserPart], Field(min_length=1)]
    name: str | None = None


class CalledFunction(Wire):
    """A function and its arguments as JSON."""

    name: str
    arguments: str


class Call(Wire):
    """A call that the assistant made."""

    id: str
    type: Literal["function"] = "function"
    function: CalledFunction


class AssistantMessage(Wire):
    """What the assistant wrote, refused and called before."""

    role: Literal["assistant"]
    content: str | list[Text] | None = None
    audio: Object | None = None
    refusal: str | None = None
    name: str | None = None
    tool_calls: list[Call] | None = None


class ToolMessage(Wire):
    """What a function gave back."""

    role: Literal["tool"]
    tool_call_id: str
    content: str | list[Text]


Message: TypeAlias = Annotated[
    SystemMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")
]


class AudioOptions(Wire):
    """Sound of the answer."""

    voice: str | Voice | None = None
    format: Literal["pcm16", "wav", "flac", "mp3", "opus", "aac"]


class StreamOptions(Wire):
    """What a stream carries besides the answer."""

    include_usage: bool = False
    include_obfuscation: bool | None = None


class CompletionRequest(Wire):
    """The body of a request."""

    model: str
    messages: Annotated[list[Message], Field(min_length=1)]
    modalities: Annotated[list[Literal["text", "audio"]], Field(min_length=1)] | None = None
    audio: AudioOptions | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    tools: list[Object] | None = None
    tool_choice: str | Object | None = None
    n: Literal[1] | None = None
    stop: str | list[str] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    logit_bias: Object | None = None
    response_format: Object | None = None
    temperature: float | int | None = None
    top_p: float | int | None = None
    top_k: int | None = None
    seed: int | None = None
    presence_penalty: float | int | None = None
    frequency_penalty: float | int | None = None
    repetition_penalty: float | int | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: str | None = None
    service_tier: str | None = None
    store: bool | None = None
    metadata: Object | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
