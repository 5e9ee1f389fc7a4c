"""The server's loudspeaker at the peer: 20 ms packets on a monotonic clock, silence when idle.

Knows aiortc's track and encodes beside it: its own encoder makes stereo music of speech, and in the
executor that everything else uses too. Does not know replies.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from fractions import Fraction
from typing import Any

import av
from aiortc import MediaStreamTrack

from streaming.media.opus import FRAME_TICKS, RTP_CLOCK_HZ, OpusEncoder
from streaming.media.pacing import Pacer
from streaming.media.playout import Frame, Playout

TIME_BASE = Fraction(1, RTP_CLOCK_HZ)
Watch = Callable[[Frame, float, int], None]


class Speaker(MediaStreamTrack):
    """Plays what waits in `playout`, and says in `frames` which replies began and ended.

    `watch` is told of each frame that was played, how much later than due that was, and how many
    before it were left out.
    """

    kind = "audio"

    def __init__(
        self,
        playout: Playout,
        executor: Executor,
        clock: Callable[[], float] = time.monotonic,
        watch: Watch = lambda frame, late_s, skipped: None,
    ) -> None:
        super().__init__()
        self._watch = watch
        self.frames: asyncio.Queue[Frame] = asyncio.Queue()
        self._playout = playout
        self._executor = executor
        self._clock = clock
        self._pacer = Pacer()
        self._encoder = OpusEncoder()
        self._ticks = 0

    async def recv(self) -> av.Packet[Any]:
        """Returns the next packet, when it is due."""
        due = self._pacer.next(self._clock())
        self._ticks += due.skipped_frames * FRAME_TICKS
        wait_s = due.at_s - self._clock()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        frame = self._playout.next_frame()
        if frame.started or frame.stopped:
            # Bounded: each reply is in it twice, and replies are bounded by their sound.
            self.frames.put_nowait(frame)
        loop = asyncio.get_running_loop()
        payload = await loop.run_in_executor(self._executor, self._encoder.encode, frame.pcm)
        self._watch(frame, max(0.0, self._clock() - due.at_s), due.skipped_frames)
        packet = av.Packet(payload)
        packet.pts = self._ticks
        packet.time_base = TIME_BASE
        self._ticks += FRAME_TICKS
        return packet
