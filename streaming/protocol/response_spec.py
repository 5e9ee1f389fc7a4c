"""What one response is to be, once all that was left open is filled in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from streaming.media.formats import AudioFormat
from streaming.protocol.commands import Modality
from streaming.protocol.item_creation import Made
from streaming.protocol.tools import Tools

Object: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseSpec:
    """What was asked for, with the session's defaults filled in.

    `wire_format` and `max_output_tokens` are as the API shows them. `tools` None are the session's.
    A response `aside` is no part of the conversation; its `input` None is the conversation's items.
    `not_applied` was wished for and changes nothing.
    """

    modality: Modality
    voice: str | None
    audio_format: AudioFormat
    wire_format: Object
    max_output_tokens: int | Literal["inf"]
    instructions: str | None
    metadata: dict[str, str] | None
    tools: Tools | None
    choice: Tools
    parallel_tool_calls: bool = True
    not_applied: tuple[str, ...] = ()
    speed: float = 1.0
    aside: bool = False
    input: tuple[Made | str, ...] | None = None
