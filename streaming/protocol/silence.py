"""When the user's silence begins: once what was answered has been heard.

Knows how much of each reply was sent, in the client's time. A client is taken to play from the
first sound on without a pause, until it is told to stop or says that it did; time is audio
received. Does not know what silence leads to.
"""

from __future__ import annotations

from streaming.protocol.ports import EarPort


class Silence:
    """Tells the ear of one session when to expect speech."""

    def __init__(self, ear: EarPort) -> None:
        self._ear = ear
        self._played_until_ms = 0
        self._item_id: str | None = None

    def sent(self, item_id: str, audio_ms: int) -> None:
        """More of a reply was sent: so much, at the pace at which it is heard."""
        self._item_id = item_id
        self._played_until_ms = max(self._ear.position_ms, self._played_until_ms) + audio_ms

    def cut(self, item_id: str | None = None) -> None:
        """The client plays no more of what it has; or (with an id) of this reply, if it does."""
        if item_id in (None, self._item_id):
            self._played_until_ms = min(self._ear.position_ms, self._played_until_ms)

    def replied(self) -> None:
        """All of a reply was sent, and nothing follows it."""
        self._ear.expect_speech(max(0, self._played_until_ms - self._ear.position_ms))
