"""What a client of Qwen-Omni-Realtime asks for, in the GA protocol's form.

Knows the parts of an item and the options of one response. What is wrong in them is told by the
inner session, which sees them next.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from streaming.protocol.errors import CapabilityError
from streaming.protocol.limits import ModelProfile
from streaming.protocol.nested_tools import flat_choice, flat_tool, is_strict
from streaming.protocol.qwen.options import Bound, ga_bound, modality_of, voice_of
from streaming.protocol.validation import validated

Object: TypeAlias = dict[str, Any]


def ga_content(part: object) -> object:
    """A part of an item.

    Raises:
        CapabilityError: It is sound, whose rate the GA protocol would take for another.
    """
    if not isinstance(part, dict):
        return part
    match part.get("type"):
        case "input_audio":
            raise CapabilityError(
                "Sound comes by 'input_audio_buffer.append' in this dialect.", "item.content"
            )
        case "text":
            return {**part, "type": "output_text"}
        case _:
            return part


def ga_wishes(wishes: Object, profile: ModelProfile) -> Object:
    """The options of one response.

    Raises:
        ProtocolError: Modalities, tools or a bound that the dialect does not have.
    """
    asked: Object = {}
    for key, value in wishes.items():
        match key, value:
            case "modalities", list():
                asked["output_modalities"] = [modality_of(value, param="response.modalities")]
            case "voice", str():
                asked["audio"] = {"output": {"voice": voice_of(value, profile)}}
            case "max_tokens", _:
                bound = validated(Bound, {key: value}, under="response").max_tokens
                asked["max_output_tokens"] = bound and ga_bound(bound)
            case "tools", list():
                asked["tools"] = [
                    _tool(tool, f"response.tools[{i}]") for i, tool in enumerate(value)
                ]
            case "tool_choice", _:
                asked["tool_choice"] = flat_choice(value)
            case _:
                asked[key] = value
    return asked


def _tool(tool: object, param: str) -> object:
    if not isinstance(tool, dict):
        return tool
    if is_strict(tool):
        message = "No call is held to its function's schema here; leave 'strict' out."
        raise CapabilityError(message, f"{param}.function.strict")
    return flat_tool(tool, param)
