"""One connection to a peer: an offer becomes an answer, and its tracks are wired up.

Knows aiortc. Does not know conversations, HTTP or limits of time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from aiortc import (
    MediaStreamTrack,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCRtpSender,
    RTCSessionDescription,
)

from server.telemetry.line import LineStats
from server.webrtc.channel import EventChannel
from server.webrtc.errors import OfferError, reason_of
from server.webrtc.ice import IceServers
from server.webrtc.microphone import Microphone
from server.webrtc.offer import Offer
from server.webrtc.speaker import Speaker
from server.webrtc.video_guard import VideoGuard
from streaming.media.opus import RTP_CLOCK_HZ

logger = logging.getLogger("omnilive.webrtc")

CLOSE_TIMEOUT_S = 10.0
ENDED = ("failed", "closed")


class Peer:
    """Connects microphone, speaker and channel to whoever made the offer.

    Attributes:
        connected: Set once sound can flow.
        ended: Set when the connection has failed or was closed by the peer.
        video: The camera's track and what guards it, if the offer has one that was accepted.
    """

    def __init__(
        self,
        ice: IceServers,
        microphone: Microphone,
        speaker: Speaker,
        channel: EventChannel,
        *,
        guarded: Callable[[RTCRtpReceiver], VideoGuard],
    ) -> None:
        """Takes both ends of sound and events; `guarded` puts a guard before a camera."""
        self.connected = asyncio.Event()
        self.ended = asyncio.Event()
        self.video: tuple[MediaStreamTrack, VideoGuard] | None = None
        self._ice = ice
        self._guarded = guarded
        self._connection = RTCPeerConnection(ice.configuration())
        self._microphone = microphone
        self._speaker = speaker
        self._connection.on("connectionstatechange", self._follow_state)
        self._connection.on("datachannel", channel.attach)

    async def answer(self, offer: Offer, *, takes_video: bool) -> str:
        """Returns the answer to an offer, with every candidate in it.

        Raises:
            OfferError: aiortc cannot use the offer.
        """
        sender = self._connection.addTrack(self._speaker)
        try:
            await self._connection.setRemoteDescription(
                RTCSessionDescription(sdp=offer.sdp, type="offer")
            )
            self._wire(sender, takes_video=takes_video)
            await self._connection.setLocalDescription(await self._connection.createAnswer())
        except Exception as error:  # what the peer's text does to aiortc is the peer's mistake
            logger.info("an offer could not be answered", exc_info=error)
            raise OfferError(f"the offer cannot be answered: {reason_of(error)}", "sdp") from None
        return self._ice.announced(self._connection.localDescription.sdp)

    async def stats(self) -> LineStats:
        """Returns what aiortc counts of the sound."""
        report: dict[str, Any] = {}
        for transceiver in self._connection.getTransceivers():
            if transceiver.kind == "audio":
                report |= await transceiver.sender.getStats()
                report |= await transceiver.receiver.getStats()
        by_type = {stats.type: stats for stats in report.values()}
        inbound, outbound = by_type.get("inbound-rtp"), by_type.get("outbound-rtp")
        remote = by_type.get("remote-inbound-rtp")
        return LineStats(
            received=0 if inbound is None else inbound.packetsReceived,
            jitter_in_s=None if inbound is None else inbound.jitter / RTP_CLOCK_HZ,
            sent=0 if outbound is None else outbound.packetsSent,
            reported=None if remote is None else remote.timestamp,
            rtt_s=None if remote is None else remote.roundTripTime,
            jitter_out_s=None if remote is None else remote.jitter / RTP_CLOCK_HZ,
            lost_out=0 if remote is None else remote.packetsLost,
        )

    async def close(self) -> None:
        """Ends the connection, whatever state it is in, in bounded time."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._connection.close()
        except TimeoutError:
            logger.error("a connection did not close in %s s", CLOSE_TIMEOUT_S)
        self._speaker.stop()

    def _wire(self, sender: RTCRtpSender, *, takes_video: bool) -> None:
        for transceiver in self._connection.getTransceivers():
            receiver = transceiver.receiver
            if transceiver.kind == "audio":
                assert transceiver.sender is sender
                transceiver._codecs = [c for c in transceiver._codecs if c.name.lower() == "opus"]
                self._microphone.listen_to(receiver)
            elif takes_video and receiver.track is not None:
                transceiver.direction = "recvonly"
                self.video = (receiver.track, self._guarded(receiver))
            else:
                transceiver.direction = "inactive"

    def _follow_state(self) -> None:
        state = self._connection.connectionState
        if state == "connected":
            self.connected.set()
        elif state in ENDED:
            self.ended.set()
