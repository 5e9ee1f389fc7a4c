"""The parts of a chat completion's messages, as items hold them; files are not decoded yet.

Knows each kind of part and what it takes of the model. Does not decode sounds and pictures (whoever
serves the request does), and knows no message.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from streaming.protocol.commands import TextPart
from streaming.protocol.completion_wire import (
    Film,
    Frames,
    Picture,
    Sound,
    SoundData,
    Text,
    UserPart,
)
from streaming.protocol.errors import CapabilityError
from streaming.protocol.limits import ModelProfile
from streaming.protocol.wire_image import data_of, decoded

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


def text_of(content: str | list[Text]) -> str:
    """The words of a message that has nothing but words."""
    return content if isinstance(content, str) else "".join(part.text for part in content)


def asked_part(part: UserPart, param: str, profile: ModelProfile) -> TextPart | MediaFile:
    """A part of a user's message, which stands at `param`.

    Raises:
        ProtocolError: It is no data, or the model does not take its kind.
    """
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
