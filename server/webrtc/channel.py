"""The data channel `oai-events`: the Realtime API's events, as over the WebSocket.

Knows sizes, what waits on either side, and when a peer is too slow or too fast. Does not know what
any event means.
"""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from aiortc import RTCDataChannel

from server.errors import ServerError, SlowReaderError
from server.outbox import Outbox
from server.webrtc.errors import FloodError, TooLargeEventError

LABEL = "oai-events"
# Bytes in aiortc's own queue from which on we wait: it has no other bound.
HIGH_WATER_BYTES = 256 * 1024


class EventChannel:
    """One peer's events, both ways."""

    def __init__(
        self,
        outbox: Outbox,
        *,
        max_message_bytes: int,
        send_timeout_s: float,
        max_waiting_events: int = 1024,
        max_waiting_bytes: int = 32 * 2**20,
    ) -> None:
        self._max_waiting_events = max_waiting_events
        self._max_waiting_bytes = max_waiting_bytes
        self._outbox = outbox
        self._max_message_bytes = max_message_bytes
        self._send_timeout_s = send_timeout_s
        self._channel: RTCDataChannel | None = None
        self._opened = asyncio.Event()
        self._drained = asyncio.Event()
        self._received: asyncio.Queue[str | bytes] = asyncio.Queue()
        self._received_bytes = 0

    def attach(self, channel: RTCDataChannel) -> None:
        """Takes the peer's channel; one with another name, or a second one, is closed."""
        if channel.label != LABEL or self._channel is not None:
            channel.close()
            return
        self._channel = channel
        channel.bufferedAmountLowThreshold = HIGH_WATER_BYTES // 2
        channel.on("bufferedamountlow", self._drained.set)
        channel.on("message", self._take)
        self._opened.set()

    async def receive(self) -> str | bytes:
        """Returns the next frame of the peer.

        Raises:
            FloodError: More wait than may; names the limit.
        """
        if self._received.qsize() > self._max_waiting_events:
            raise FloodError(
                f"more than {self._max_waiting_events} events wait to be taken (max_waiting_events)"
            )
        if self._received_bytes > self._max_waiting_bytes:
            raise FloodError(
                f"more than {self._max_waiting_bytes} bytes of events wait to be taken "
                "(max_waiting_bytes)"
            )
        frame = await self._received.get()
        self._received_bytes -= len(frame)
        return frame

    async def send(self) -> None:
        """Sends what is in the outbox, without end.

        Raises:
            SlowReaderError: The peer took nothing for too long; names the limit.
        """
        await self._opened.wait()
        while True:
            await self._send_one()

    async def say_last(self, error: ServerError | None, timeout_s: float) -> None:
        """Lets out what waits, then the error; gives up after `timeout_s`."""
        channel = self._channel
        if channel is None or channel.readyState != "open":
            return
        try:
            async with asyncio.timeout(timeout_s):
                while len(self._outbox):
                    await self._send_one()
                if error is not None:
                    self._put(channel, orjson.dumps(error.event()).decode())
                channel.bufferedAmountLowThreshold = 0
                self._drained.clear()
                if channel.bufferedAmount:
                    await self._drained.wait()
        except (TimeoutError, SlowReaderError):
            return

    async def _send_one(self) -> None:
        channel = self._channel
        assert channel is not None
        frame = await self._outbox.peek()
        if channel.bufferedAmount > HIGH_WATER_BYTES:
            self._drained.clear()
            try:
                async with asyncio.timeout(self._send_timeout_s):
                    await self._drained.wait()
            except TimeoutError:
                raise SlowReaderError(
                    f"nothing was read for {self._send_timeout_s} s (send_timeout_s)"
                ) from None
        self._put(channel, frame)
        self._outbox.pop()

    def _put(self, channel: RTCDataChannel, frame: str) -> None:
        """Gives a frame to aiortc; a channel that has been closed meanwhile gets nothing."""
        if channel.readyState == "open":
            channel.send(self._fitting(frame))

    def _fitting(self, frame: str) -> str:
        """The frame, or what is said in its place if the channel cannot carry it."""
        size = len(frame.encode())
        if size <= self._max_message_bytes:
            return frame
        kind = orjson.loads(frame)["type"]
        return orjson.dumps(
            TooLargeEventError(kind, size, self._max_message_bytes).event()
        ).decode()

    def _take(self, frame: Any) -> None:
        # aiortc's callback cannot wait: past the limits `receive` ends the call.
        if (
            self._received_bytes <= self._max_waiting_bytes
            and self._received.qsize() <= self._max_waiting_events
        ):
            self._received.put_nowait(frame)
            self._received_bytes += len(frame)
