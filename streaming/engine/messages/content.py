"""What stands in the items of a conversation, as it crosses the border: text, media, tool calls.

Samples are raw bytes: float32 little-endian, 16 kHz, mono.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["system", "user", "assistant"]
# What the gateway sends and the networks hear: `MODEL_RATE_HZ` and `model.mel`'s, which must not be
# imported here. A test holds the three together.
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
