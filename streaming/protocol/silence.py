"""When the user's silence begins: once what was answered has been heard.

Knows how much of each reply was sent, and at which pace it is heard. A client is taken to play from
the first sound on without a pause; time is audio received. Does not know what silence leads to.
"""

from __future__ import annotations

from streaming.protocol.engine_events import ReplyAudio, ReplyDone
from streaming.protocol.ports import EarPort
from streaming.protocol.replies import Replies, ReplyEvent
from streaming.protocol.response import ENGINE_BYTES_PER_SAMPLE, ENGINE_RATE_HZ


class Silence:
    """Tells the ear of one session when to expect speech."""

    def __init__(self, ear: EarPort, replies: Replies) -> None:
        self._ear = ear
        self._replies = replies
        self._played_until_ms = 0

    def follow(self, event: ReplyEvent, speed: float) -> None:
        """Takes what the engine said of a reply, which is heard at `speed`."""
        now_ms = self._ear.position_ms
        match event:
            case ReplyAudio(response_id=name, pcm=pcm) if not self._replies.is_aside(name):
                samples = len(pcm) // ENGINE_BYTES_PER_SAMPLE
                start_ms = max(now_ms, self._played_until_ms)
                self._played_until_ms = start_ms + round(samples * 1000 / ENGINE_RATE_HZ / speed)
            case ReplyDone(response_id=name, status="completed" | "incomplete") if (
                name == self._replies.last_id
            ):
                self._ear.expect_speech(max(0, self._played_until_ms - now_ms))
