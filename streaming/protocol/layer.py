"""What layers around a session have in common: a live line's and a dialect's.

Knows what a layer hands on as it is, and how to look for an event in a frame before it is read.
"""

from __future__ import annotations

from typing import Any

import orjson

from streaming.protocol.session import RealtimeSession


class SessionLayer:
    """The words of `RealtimeSession` that a layer does not change."""

    def __init__(self, session: RealtimeSession) -> None:
        """Takes the session inside."""
        self._session = session

    @property
    def instructions(self) -> str:
        """The system message now in force."""
        return self._session.instructions

    @property
    def tools(self) -> tuple[str, ...]:
        """The function tools now in force."""
        return self._session.tools

    @property
    def judges_turns(self) -> bool:
        """Whether a little audio may take long."""
        return self._session.judges_turns

    @property
    def voice(self) -> str | None:
        """The voice now in force."""
        return self._session.voice

    @property
    def pictures_thinned(self) -> int:
        """A camera's pictures that were left out to keep to a number or a budget."""
        return self._session.pictures_thinned


def is_event(frame: str | bytes, kind: str) -> bool:
    """Whether a client's frame is an event of this type; long frames of others are not decoded."""
    needle: Any = kind if isinstance(frame, str) else kind.encode()
    if needle not in frame:
        return False
    try:
        event = orjson.loads(frame)
    except orjson.JSONDecodeError:
        return False
    return isinstance(event, dict) and bool(event.get("type") == kind)
