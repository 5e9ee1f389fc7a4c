"""Audio as it stands in JSON: the format objects of the session, and base64.

Knows the three formats of the API. Does not decode samples: `streaming.media.codecs` does.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from streaming.media.formats import PCM_24K, PCMA, PCMU, AudioFormat
from streaming.protocol.errors import ProtocolError
from streaming.protocol.validation import Wire


class PcmFormat(Wire):
    """16-bit little-endian PCM; the API knows it at 24 kHz only."""

    type: Literal["audio/pcm"] = "audio/pcm"
    rate: Literal[24000] = 24000


class PcmuFormat(Wire):
    """G.711 µ-law at 8 kHz."""

    type: Literal["audio/pcmu"]


class PcmaFormat(Wire):
    """G.711 A-law at 8 kHz."""

    type: Literal["audio/pcma"]


WireFormat: TypeAlias = Annotated[PcmFormat | PcmuFormat | PcmaFormat, Field(discriminator="type")]

_FORMATS: dict[str, AudioFormat] = {
    "audio/pcm": PCM_24K,
    "audio/pcmu": PCMU,
    "audio/pcma": PCMA,
}


def audio_format(wire: WireFormat) -> AudioFormat:
    """The sample format that a session's format object stands for."""
    return _FORMATS[wire.type]


def decode_audio(text: str, expected: AudioFormat, *, param: str) -> bytes:
    """The bytes of a base64 field.

    Raises:
        ProtocolError: Not base64, or not a whole number of samples.
    """
    try:
        audio = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        message = f"Invalid '{param}': expected base64-encoded audio bytes."
        raise ProtocolError("invalid_value", message, param) from None
    if len(audio) % expected.bytes_per_sample:
        message = f"Invalid '{param}': {len(audio)} bytes are not a whole number of 16-bit samples."
        raise ProtocolError("invalid_value", message, param)
    return audio


def encode_audio(audio: bytes) -> str:
    """Bytes as a base64 field."""
    return base64.b64encode(audio).decode("ascii")
