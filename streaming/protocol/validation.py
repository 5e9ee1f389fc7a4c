"""From pydantic's view of a bad value to the API's own error codes and sentences.

Knows error types of pydantic and the codes that OpenAI's server uses for the same mistakes. Knows
no event or option.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from streaming.protocol.errors import ProtocolError

M = TypeVar("M", bound=BaseModel)

# Longer values are cut in messages, so that an error never grows with what caused it.
SHOWN_CHARS = 64
MAX_PARAM_CHARS = 200

# What the GA form calls the things that clients of the beta still send.
BETA_NAMES = {
    "session.modalities": "session.output_modalities",
    "session.voice": "session.audio.output.voice",
    "session.input_audio_format": "session.audio.input.format",
    "session.output_audio_format": "session.audio.output.format",
    "session.input_audio_transcription": "session.audio.input.transcription",
    "session.input_audio_noise_reduction": "session.audio.input.noise_reduction",
    "session.turn_detection": "session.audio.input.turn_detection",
    "session.max_response_output_tokens": "session.max_output_tokens",
    "response.modalities": "response.output_modalities",
    "response.voice": "response.audio.output.voice",
    "response.output_audio_format": "response.audio.output.format",
    "response.max_response_output_tokens": "response.max_output_tokens",
}

_EXPECTED = {
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "string_type": "a string",
    "bool_type": "a boolean",
    "list_type": "an array",
    "tuple_type": "an array",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "none_required": "null",
}
_RANGE_CODES = {
    "greater_than_equal": ("integer_below_min_value", "at least {ge}"),
    "less_than_equal": ("integer_above_max_value", "at most {le}"),
    "string_too_long": ("string_above_max_length", "at most {max_length} characters"),
    "string_too_short": ("string_below_min_length", "at least {min_length} characters"),
    "too_long": ("array_above_max_length", "at most {max_length} entries"),
    "too_short": ("array_below_min_length", "at least {min_length} entries"),
}


class Wire(BaseModel):
    """Base of everything a client may send: no coercion, no unknown fields."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def shown(value: object) -> str:
    """The value for a message, cut to a fixed length."""
    text = repr(value)
    return text if len(text) <= SHOWN_CHARS else text[:SHOWN_CHARS] + "…"


def validated(model: type[M], value: object, *, under: str) -> M:
    """`value` as `model`.

    Args:
        model: What the value must be.
        value: Parsed JSON.
        under: Path of the value in the event, which begins every `param`; may be empty.

    Raises:
        ProtocolError: The first thing that is wrong with the value.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise _translated(error.errors(include_url=False), under) from None


def _translated(errors: list[ErrorDetails], under: str) -> ProtocolError:
    # An unknown field is often the misspelling of the one that is missing, so it is named first.
    # Of what is wrong with each branch of a union, the deepest is about the one that was meant.
    first = min(errors, key=lambda e: (e["type"] != "extra_forbidden", -len(e["loc"])))
    param = _path(under, first)[:MAX_PARAM_CHARS]
    kind, context = first["type"], first.get("ctx", {})
    if kind == "extra_forbidden":
        hint = BETA_NAMES.get(param)
        renamed = f" It is called '{hint}' in the GA API." if hint else ""
        return ProtocolError("unknown_parameter", f"Unknown parameter: '{param}'.{renamed}", param)
    if kind in ("missing", "union_tag_not_found"):
        param = f"{param}.{_tag(context)}" if kind == "union_tag_not_found" else param
        message = f"Missing required parameter: '{param}'."
        return ProtocolError("missing_required_parameter", message, param)
    if kind in ("literal_error", "union_tag_invalid"):
        return _not_one_of(kind, param, first["input"], context)
    if kind in _EXPECTED:
        message = (
            f"Invalid type for '{param}': expected {_EXPECTED[kind]}, "
            f"but got {_json_type(first['input'])} instead."
        )
        return ProtocolError("invalid_type", message, param)
    if kind in _RANGE_CODES:
        code, bound = _RANGE_CODES[kind]
        if isinstance(context.get("ge", context.get("le")), float):
            code = code.replace("integer", "decimal")
        return ProtocolError(code, _out_of_range(param, first["input"], bound, context), param)
    message = f"Invalid value for '{param}': {first['msg']}"
    return ProtocolError("invalid_value", message, param)


def _not_one_of(kind: str, param: str, value: object, context: Mapping[str, Any]) -> ProtocolError:
    if kind == "union_tag_invalid":
        param = f"{param}.{_tag(context)}"
        value, choices = context["tag"], context["expected_tags"]
    else:
        choices = context["expected"]
    message = f"Invalid value: {shown(value)}. Supported values are: {choices}."
    return ProtocolError("invalid_value", message, param)


def _tag(context: Mapping[str, Any]) -> str:
    """Name of the field that tells the branches of a union apart."""
    return str(context["discriminator"]).strip("'")


def _out_of_range(param: str, value: object, bound: str, context: Mapping[str, Any]) -> str:
    measure = len(value) if isinstance(value, str | list | dict) else value
    return f"Invalid '{param}': {shown(measure)}, expected {bound.format(**context)}."


def _path(under: str, error: ErrorDetails) -> str:
    path, location = under, error["loc"]
    for place, step in enumerate(location):
        is_last = place == len(location) - 1
        is_entry = place > 0 and isinstance(location[place - 1], int)
        if isinstance(step, int):
            path += f"[{step}]"
        # The name of an unknown field is the client's own and may look like anything.
        elif (error["type"] == "extra_forbidden" and is_last) or not (
            _is_union_branch(step) or (step in _TAGS and is_entry and not is_last)
        ):
            path += f".{step}" if path else step
    return path


def _is_union_branch(step: str) -> bool:
    # pydantic puts the branch of a union into the location: a tag, a class name, a type.
    return not step.replace("_", "").isalnum() or step in _BRANCHES or step[:1].isupper()


_BRANCHES = frozenset(["int", "str", "float", "server_vad", "semantic_vad"])
# Tags of the entries of lists; some of these are names of fields too.
_TAGS = frozenset(
    [
        "system",
        "developer",
        "user",
        "assistant",
        "tool",
        "input_text",
        "input_audio",
        "input_image",
        "output_text",
        "output_audio",
        "text",
        "image_url",
        "video_url",
        "video",
    ]
)


def _json_type(value: object) -> str:
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "an integer", float: "a number", str: "a string"}
    return names.get(type(value), "an array" if isinstance(value, list) else "an object")
