"""The peer's microphone: RTP packets become 48 kHz samples, in order and without lasting delay.

Knows aiortc's receiver and decodes beside it: its own jitter buffer holds sound back for 80 ms, and
for 280 ms after one lost packet. Does not know what is said.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from aiortc import RTCRtpReceiver

from server.telemetry.line import LineStats
from server.webrtc.errors import FloodError
from streaming.media.errors import CodecError
from streaming.media.jitter import JitterBuffer, Packet, Piece, Silence
from streaming.media.opus import OpusDecoder, packet_ticks

logger = logging.getLogger("omnilive.webrtc")

BYTES_PER_TICK = 2
LOOK_S = 0.020
RATE_HZ = 48_000


class Microphone:
    """Takes packets as they come; `read` gives samples."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        *,
        max_ahead_s: float = 5.0,
        max_waiting_s: float = 10.0,
    ) -> None:
        """Bounds what came faster than time passes, and what waits for a busy conversation."""
        self._clock = clock
        self._max_ahead_s = max_ahead_s
        self._max_waiting_s = max_waiting_s
        self._max_waiting_bytes = round(max_waiting_s * RATE_HZ) * BYTES_PER_TICK
        self._ssrc: int | None = None
        self._jitter = JitterBuffer(packet_ticks)
        self._decoder = OpusDecoder()
        self._sound: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._read_samples = 0
        self._came = asyncio.Event()
        self._is_flooded = False

    @property
    def position_ms(self) -> int:
        """How much was read."""
        return self._read_samples * 1000 // RATE_HZ

    def counted(self, stats: LineStats) -> LineStats:
        """Returns a look at the line with what is counted here."""
        jitter = self._jitter
        return replace(
            stats,
            lost_in=jitter.lost,
            late=jitter.late,
            given=jitter.given,
            held_s=jitter.held_s,
        )

    def listen_to(self, receiver: RTCRtpReceiver) -> None:
        """Takes the packets of this receiver from now on."""
        name = "_RTCRtpReceiver__jitter_buffer"
        assert hasattr(receiver, name), "aiortc has another receiver than the one we know"
        setattr(receiver, name, _Tap(self))

    def receive(self, ssrc: int, packet: Packet) -> None:
        """Takes one packet."""
        if ssrc != self._ssrc:  # a new source has counters of its own
            self._ssrc, self._jitter = ssrc, JitterBuffer(packet_ticks)
        now_s = self._clock()
        if self._jitter.ahead_s(now_s) > self._max_ahead_s:
            self._is_flooded = True
            self._came.set()
        if not self._is_flooded:
            self._take(self._jitter.push(packet, now_s))

    async def read(self) -> bytes:
        """Returns the next samples (s16 LE, 48 kHz, mono), once there are some.

        Raises:
            FloodError: More came than can be taken; names the limit.
        """
        while not self._sound:
            if self._is_flooded:
                raise FloodError(
                    f"sound came {self._max_ahead_s:g} s ahead of time (max_sound_ahead_s)"
                )
            self._came.clear()
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._came.wait()
            except TimeoutError:
                self._take(self._jitter.expire(self._clock()))
        if self._waiting_bytes > self._max_waiting_bytes:
            raise FloodError(
                f"more than {self._max_waiting_s:g} s of sound wait to be heard "
                "(max_waiting_sound_s)"
            )
        sound = b"".join(self._sound)
        self._sound.clear()
        self._waiting_bytes = 0
        self._read_samples += len(sound) // BYTES_PER_TICK
        return sound

    def _take(self, pieces: list[Piece]) -> None:
        for piece in pieces:
            sound = self._decoded(piece)
            if self._waiting_bytes <= self._max_waiting_bytes:
                self._sound.append(sound)
                self._waiting_bytes += len(sound)
        if self._sound:
            self._came.set()

    def _decoded(self, piece: Piece) -> bytes:
        if isinstance(piece, Silence):
            return bytes(piece.ticks * BYTES_PER_TICK)
        try:
            return self._decoder.decode(piece.payload)
        except CodecError as error:
            logger.debug("a packet became silence", exc_info=error)
            return bytes(packet_ticks(piece.payload) * BYTES_PER_TICK)


class _Tap:
    """Stands where aiortc's jitter buffer was, and lets nothing through to its decoder."""

    def __init__(self, microphone: Microphone) -> None:
        self._microphone = microphone

    def add(self, packet: Any) -> tuple[bool, None]:
        """Hands a packet over; never asks for a key frame, never gives a frame."""
        self._microphone.receive(
            packet.ssrc,
            Packet(
                sequence=packet.sequence_number, timestamp=packet.timestamp, payload=packet._data
            ),
        )
        return False, None
