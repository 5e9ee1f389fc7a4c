"""A loudspeaker that somebody watches: it plays what the one inside it plays, and tells of whom.

Knows the loudspeaker's port. Does not know what is measured.
"""

from __future__ import annotations

from collections.abc import Callable

from streaming.media.playout import Cut
from streaming.protocol.live import LoudspeakerPort


class WatchedLoudspeaker:
    """Implements `streaming.protocol.live.LoudspeakerPort` with another one.

    `pushed` is told of each reply's sound that goes in.
    """

    def __init__(self, loudspeaker: LoudspeakerPort, pushed: Callable[[str], None]) -> None:
        self._loudspeaker = loudspeaker
        self._pushed = pushed

    def push(self, response_id: str, pcm: bytes) -> None:
        """Adds sound of a reply, and tells of it."""
        self._loudspeaker.push(response_id, pcm)
        self._pushed(response_id)

    def finish(self, response_id: str) -> None:
        """Passes it on."""
        self._loudspeaker.finish(response_id)

    def clear(self) -> list[Cut]:
        """Passes it on."""
        return self._loudspeaker.clear()
