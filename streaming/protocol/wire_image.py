"""Pictures as they stand in JSON: data URLs and base64.

Knows their form. Does not decode pictures (the eye does) and never fetches anything.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable

from streaming.media.errors import FrameError
from streaming.media.video import Pixels
from streaming.protocol.commands import Frame
from streaming.protocol.errors import CapabilityError, ProtocolError

_FETCHED = ("http:", "https:", "file:", "ftp:")


def data_of(url: str, *, param: str, what: str = "image") -> bytes:
    """The bytes in a data URL.

    Raises:
        ProtocolError: Another kind of URL, or not base64.
    """
    scheme = url[:16].lower()
    if scheme.startswith(_FETCHED):
        message = f"A URL is never fetched here; send the {what} as a data URL in base64."
        raise CapabilityError(message, param)
    head, comma, data = url.partition(",")
    if not scheme.startswith("data:") or not comma or not head.lower().endswith(";base64"):
        message = f"Invalid '{param}': expected a data URL of a {what}, 'data:…;base64,…'."
        raise ProtocolError("invalid_value", message, param)
    return decoded(data, param=param, what=what)


def decoded(text: str, *, param: str, what: str = "image") -> bytes:
    """The bytes of a base64 field.

    Raises:
        ProtocolError: Not base64.
    """
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        message = f"Invalid '{param}': expected a base64-encoded {what}."
        raise ProtocolError("invalid_value", message, param) from None


def looked_at(look: Callable[[], Pixels], *, param: str) -> Pixels:
    """What an eye makes of a picture.

    Raises:
        ProtocolError: No picture, or one beyond a limit; names it.
    """
    try:
        return look()
    except FrameError as error:
        raise ProtocolError(error.code, f"Invalid '{param}': {error}.", param) from None


def frame_of(pixels: Pixels) -> Frame:
    """A decoded picture as a command carries it."""
    rows, columns = pixels.shape[:2]
    return Frame(pixels=pixels.tobytes(), rows=rows, columns=columns)
