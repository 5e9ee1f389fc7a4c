"""How a message travels: one JSON header, then its samples as raw frames of a ZeroMQ multipart.

Knows the encoding and checks every field against its declared type, so that nothing untyped comes
in. Does not know sockets, nor what a message means.

    frame 0    {"type": "UserAudio", "conversation_id": "c", "item_id": "i", "pcm": 1}
    frame 1    the bytes of `pcm`
"""

from __future__ import annotations

import math
import types
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import orjson

from streaming.engine.messages.commands import Command
from streaming.engine.messages.content import INPUT_SAMPLE_RATE_HZ
from streaming.engine.messages.events import Event
from streaming.errors import WireError

# The largest single message: an item of ten minutes of float32.
MAX_FRAME_BYTES = 10 * 60 * INPUT_SAMPLE_RATE_HZ * 4
TYPE_KEY = "type"

_KINDS = (*get_args(Command), *get_args(Event))
_MESSAGES: dict[str, type] = {kind.__name__: kind for kind in _KINDS}


def encode(message: Command | Event) -> list[bytes]:
    """Returns the frames of a message.

    Raises:
        WireError: A text in it is none, for it has half a character (a lone surrogate), or a number
            is none that JSON can hold.
    """
    blobs: list[bytes] = []
    try:
        header = orjson.dumps(_plain(message, blobs))
    except orjson.JSONEncodeError as error:
        raise WireError(f"{type(message).__name__}: {error}") from None
    return [header, *blobs]


def decode(frames: list[bytes]) -> Command | Event:
    """Returns the message of these frames.

    Raises:
        WireError: Not a message; names the field, what was expected and what came.
    """
    if not frames or any(len(frame) > MAX_FRAME_BYTES for frame in frames):
        raise WireError(f"a message has at least one frame, none above {MAX_FRAME_BYTES} bytes")
    try:
        header = orjson.loads(frames[0])
    except orjson.JSONDecodeError as error:
        raise WireError(f"the header is not JSON: {error}") from None
    name = header.get(TYPE_KEY) if isinstance(header, dict) else None
    if not isinstance(name, str) or name not in _MESSAGES:
        raise WireError(f"unknown message type {name!r}; known: {', '.join(_MESSAGES)}")
    message: Command | Event = _build(_MESSAGES[name], header, frames, name)
    return message


def conversation_of(frames: list[bytes]) -> str | None:
    """Returns the conversation that frames which did not decode speak of, if that can be told."""
    try:
        header = orjson.loads(frames[0])
    except (orjson.JSONDecodeError, IndexError):
        return None
    found = header.get("conversation_id") if isinstance(header, dict) else None
    return found if isinstance(found, str) else None


def _plain(value: Any, blobs: list[bytes]) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        raise WireError(f"{value} is no number that can be sent")  # orjson would write null
    if isinstance(value, bytes):
        blobs.append(value)
        return len(blobs)  # the index of its frame; the header is frame 0
    if isinstance(value, tuple):
        return [_plain(member, blobs) for member in value]
    if is_dataclass(value):
        body = {field.name: _plain(getattr(value, field.name), blobs) for field in fields(value)}
        return {TYPE_KEY: type(value).__name__, **body}
    return value


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _build(kind: type, body: dict[str, Any], frames: list[bytes], path: str) -> Any:
    hints = _hints(kind)
    if set(body) - {TYPE_KEY} != set(hints):
        odd = sorted(set(body) - {TYPE_KEY} ^ set(hints))
        raise WireError(f"{path}: fields are {sorted(hints)}; missing or unknown: {odd}")
    return kind(**{n: _field(body[n], hint, frames, f"{path}.{n}") for n, hint in hints.items()})


def _field(value: Any, hint: Any, frames: list[bytes], path: str) -> Any:
    """Returns `value` as the type `hint` says, or raises."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _member(value, get_args(hint), frames, path)
    if origin is tuple and isinstance(value, list):
        kind = get_args(hint)[0]
        return tuple(_field(v, kind, frames, f"{path}[{i}]") for i, v in enumerate(value))
    if origin is Literal and isinstance(value, str) and value in get_args(hint):
        return value
    if hint is bytes and type(value) is int and 1 <= value < len(frames):
        return frames[value]
    if hint is float and type(value) in (int, float):
        return float(value)
    if hint in (str, int, bool, types.NoneType) and type(value) is hint:
        return value
    if isinstance(hint, type) and is_dataclass(hint) and _is_named(value, hint):
        return _build(hint, value, frames, path)
    raise WireError(f"{path}: expected {hint}, got {str(value)[:80]!r}")


def _member(value: Any, choices: tuple[Any, ...], frames: list[bytes], path: str) -> Any:
    for choice in choices:
        try:
            return _field(value, choice, frames, path)
        except WireError as error:
            reason = error
            if _is_named(value, choice):
                raise  # the right member, wrong inside: its own words say more
    raise WireError(f"{path}: expected one of {choices}, got {str(value)[:80]!r}") from reason


def _is_named(value: Any, kind: Any) -> bool:
    return isinstance(value, dict) and value.get(TYPE_KEY) == getattr(kind, "__name__", None)
