"""JSON from outside, before anybody walks into it: frames, bodies, and the parts of a form.

Knows how deep it may be nested. What shows, checks or encodes a value calls itself once a level, so
whatever comes in here is shallow enough for all of them. Does not know what the value means.
"""

from __future__ import annotations

from typing import Any

import orjson

from streaming.protocol.errors import ProtocolError

# A schema of a tool has about ten; orjson encodes 254 and reads 1024.
MAX_DEPTH = 64


def read_json(data: str | bytes, what: str) -> Any:
    """The value in a JSON text.

    Args:
        data: The text.
        what: What it is, as the first words of an error.

    Raises:
        ProtocolError: It is not JSON, or is nested too deeply.
    """
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        if "depth limit" in error.msg:  # orjson's own, which is far above ours
            raise _too_deep(what) from None
        raise ProtocolError("invalid_json", f"{what} is not JSON: {error}.") from None
    if _opens(data) > MAX_DEPTH and _is_deep(value):
        raise _too_deep(what)
    return value


def read_object(data: str | bytes, what: str) -> dict[str, Any]:
    """The object in a JSON text.

    Raises:
        ProtocolError: It is not JSON, is nested too deeply, or is no object.
    """
    value = read_json(data, what)
    if not isinstance(value, dict):
        raise ProtocolError("invalid_json", f"{what} is JSON, but not an object.")
    return value


def _opens(data: str | bytes) -> int:
    # Counted in a moment even in minutes of sound, which then are not walked through.
    if isinstance(data, str):
        return data.count("[") + data.count("{")
    return data.count(b"[") + data.count(b"{")


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


def _too_deep(what: str) -> ProtocolError:
    return ProtocolError("invalid_json", f"{what} is nested more than {MAX_DEPTH} levels deep.")
