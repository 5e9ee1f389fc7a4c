"""A caller's line over WebRTC, with aiortc as the client.

Knows offers, tracks and the event channel. Does not know turns. So that many callers fit into one
process, what they say was encoded beforehand, and what they hear goes past aiortc's own decoder
into the server's `Microphone`, which gives samples as packets come.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from fractions import Fraction
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit, urlunsplit
from urllib.request import Request, urlopen

import av
import numpy as np
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCDataChannel,
    RTCPeerConnection,
    RTCSessionDescription,
)

from clients.python.client import OPEN_LIMIT_S, Event, server_said
from clients.python.errors import ConnectionFailed
from server.bench.load.line import Line, Pace, Punctuality, Sound, in_time, running
from server.bench.load.speech import SILENT_PEAK, Voice
from server.webrtc.channel import LABEL
from server.webrtc.microphone import RATE_HZ, Microphone
from streaming.media.opus import FRAME_TICKS, RTP_CLOCK_HZ

ENDED = ("failed", "closed")
SDP = "application/sdp"


class Track(MediaStreamTrack):
    """A microphone as aiortc takes one: Opus packets, each when it is due."""

    kind = "audio"

    def __init__(self, voice: Voice, punctuality: Punctuality) -> None:
        super().__init__()
        self._voice = voice
        self._pace = Pace(voice.frame_s, punctuality)
        self._ticks = 0

    async def recv(self) -> av.Packet[Any]:
        """Returns the next packet."""
        packet = av.Packet(self._voice.next_frame(await self._pace.next()))
        packet.pts = self._ticks
        packet.time_base = Fraction(1, RTP_CLOCK_HZ)
        self._ticks += FRAME_TICKS
        return packet


class CallLine:
    """A call; `open_call` makes it."""

    server_plays = True

    def __init__(self, voice: Voice, punctuality: Punctuality, *, has_events: bool) -> None:
        self.voice = voice
        self._peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._track = Track(voice, punctuality)
        self._ear = Microphone()
        self._came: asyncio.Queue[Event | Sound | None] = asyncio.Queue()
        self._channel: RTCDataChannel | None = None
        sender = self._peer.addTrack(self._track)
        (transceiver,) = self._peer.getTransceivers()
        assert transceiver.sender is sender
        self._ear.listen_to(transceiver.receiver)
        self._peer.on("connectionstatechange", self._follow_state)
        if has_events:
            self._channel = self._peer.createDataChannel(LABEL)
            self._channel.on("message", self._take_event)
            self._channel.on("close", self._lose)

    async def send(self, kind: str, **fields: Any) -> None:
        """Sends a client event."""
        channel = self._channel
        if channel is None or channel.readyState != "open":
            raise ConnectionFailed("the event channel is closed")
        channel.send(json.dumps({"type": kind, **fields}))

    async def receive(self) -> Event | Sound:
        """Returns the next server event, or 20 ms of sound; silence is passed over."""
        came = await self._came.get()
        if came is None:
            self._lose()  # whoever asks again is told again
            raise ConnectionFailed("the call ended")
        return came

    async def expect(self, kind: str) -> Event:
        """Returns the next event of this type, passing over others.

        Raises:
            ServerSaidError: An `error` event came first.
            ConnectionFailed: The call has ended.
        """
        while True:
            came = await self.receive()
            if isinstance(came, Sound):
                continue
            if came["type"] == "error":
                raise server_said(came["error"])
            if came["type"] == kind:
                return came

    async def dial(self, url: str, key: str | None) -> None:
        """Places the call.

        Raises:
            ServerSaidError: The server refuses it.
            ConnectionFailed: No server there.
        """
        await self._peer.setLocalDescription(await self._peer.createOffer())
        offer = self._peer.localDescription.sdp
        answer = await asyncio.to_thread(post_offer, url, offer, key)
        await self._peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    async def hear(self) -> None:
        """Passes on what sounds until it is cancelled."""
        while True:
            samples = np.frombuffer(await self._ear.read(), "<i2").astype(np.int32)
            if len(samples) and np.abs(samples).max() > SILENT_PEAK:
                self._came.put_nowait(Sound(len(samples) / RATE_HZ))

    async def vanish(self) -> None:
        """Closes the sockets below everything that would say goodbye."""
        for transceiver in self._peer.getTransceivers():
            await transceiver.sender.transport.transport.stop()

    async def close(self) -> None:
        """Hangs up."""
        self._track.stop()
        await self._peer.close()

    def _take_event(self, text: str) -> None:
        self._came.put_nowait(json.loads(text))

    def _follow_state(self) -> None:
        if self._peer.connectionState in ENDED:
            self._lose()

    def _lose(self) -> None:
        self._came.put_nowait(None)


@asynccontextmanager
async def open_call(
    url: str,
    key: str | None,
    session: dict[str, Any] | None,
    voice: Voice,
    punctuality: Punctuality,
) -> AsyncIterator[Line]:
    """Places a call and hangs it up.

    Args:
        url: Where offers are posted.
        key: Bearer key, if the server wants one.
        session: What to update the session with; None for an echo, which has none and no events.
        voice: The caller's microphone.
        punctuality: Hears how late its packets leave.

    Raises:
        ServerSaidError: The server refuses.
        ConnectionFailed: No server there, or no call in time.
    """
    line = CallLine(voice, punctuality, has_events=session is not None)
    try:
        await in_time(line.dial(url, key))
        if session is not None:
            await in_time(line.expect("session.created"))
            await line.send("session.update", session={"type": "realtime", **session})
            await in_time(line.expect("session.updated"))
        async with running(line.hear(), "loudspeaker"):
            yield line
    finally:
        await line.close()


def calls_url(url: str) -> str:
    """Returns where offers go on the server whose WebSocket is at `url`."""
    parts = urlsplit(url)
    scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
    return urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") + "/calls", parts.query, ""))


def post_offer(url: str, offer: str, key: str | None) -> str:
    """Posts an offer and returns the answer; blocks.

    Raises:
        ServerSaidError: The server refuses it.
        ConnectionFailed: No server there.
    """
    headers = {"Content-Type": SDP, **({"Authorization": f"Bearer {key}"} if key else {})}
    request = Request(url, offer.encode(), headers)
    try:
        with urlopen(request, timeout=OPEN_LIMIT_S) as reply:
            answer: str = reply.read().decode()
            return answer
    except HTTPError as error:
        with error, contextlib.suppress(ValueError, KeyError, TypeError):
            raise server_said(json.loads(error.read())["error"]) from None
        raise ConnectionFailed(f"{url}: {error}") from None
    except (URLError, OSError) as error:
        raise ConnectionFailed(f"{url}: no server there: {error}") from None
