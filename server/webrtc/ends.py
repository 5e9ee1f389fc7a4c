"""Both ends of a call's line: its sound, its pictures and its events, and the peer they go to.

Knows what is made of which setting. Does not know conversations.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from server.gateway import Gateway
from server.outbox import Outbox
from server.settings import Settings
from server.telemetry.line import INTERVAL_S, LineWatch
from server.telemetry.watch import ConversationWatch
from server.webrtc.camera import Camera
from server.webrtc.channel import EventChannel
from server.webrtc.errors import CallLostError, ConnectTimeoutError
from server.webrtc.microphone import Microphone
from server.webrtc.offer import Offer
from server.webrtc.peer import Peer
from server.webrtc.speaker import Speaker
from streaming.media.playout import Frame, Playout


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """What a call sends and receives with.

    Attributes:
        outbox: Events that wait for the channel.
        line: Looks at what passes, for the metrics.
    """

    outbox: Outbox
    channel: EventChannel
    microphone: Microphone
    speaker: Speaker
    camera: Camera
    peer: Peer
    line: LineWatch

    @classmethod
    def of(cls, gateway: Gateway, offer: Offer, watch: ConversationWatch, playout: Playout) -> Ends:
        """Makes those of one call; the peer has to be closed."""
        settings = gateway.settings
        metrics = gateway.telemetry.metrics
        line = LineWatch(metrics.line, metrics.camera)

        def played(frame: Frame, late_s: float, skipped_frames: int) -> None:
            watch.played(frame)
            line.paced(late_s, skipped_frames)

        outbox = Outbox(
            max_events=settings.send_queue_events,
            max_bytes=settings.send_queue_bytes,
            noted=watch.noted,
        )
        channel = _channel(outbox, offer, settings)
        microphone = Microphone(
            max_ahead_s=settings.max_sound_ahead_s, max_waiting_s=settings.max_waiting_sound_s
        )
        speaker = Speaker(playout, gateway.calls.encoding, watch=played)
        camera = Camera(settings, lambda: microphone.position_ms, line)
        peer = Peer(gateway.calls.ice, microphone, speaker, channel, guarded=camera.guarded)
        return cls(
            outbox=outbox,
            channel=channel,
            microphone=microphone,
            speaker=speaker,
            camera=camera,
            peer=peer,
            line=line,
        )

    async def connected(self, limit_s: float, watch: ConversationWatch) -> None:
        """Waits for the connection.

        Raises:
            ConnectTimeoutError: There was none within `limit_s`; names the limit.
        """
        offered_s = watch.now_s()
        try:
            async with asyncio.timeout(limit_s):
                await self.peer.connected.wait()
        except TimeoutError:
            raise ConnectTimeoutError(
                f"no connection within {limit_s} s (call_connect_timeout_s)"
            ) from None
        self.line.connected(watch.now_s() - offered_s)

    async def lost(self) -> None:
        """Waits for the connection's end.

        Raises:
            CallLostError: It is there.
        """
        await self.peer.ended.wait()
        raise CallLostError("the connection to the peer is gone")

    async def measure(self) -> None:
        """Looks at what passes now and then, without end."""
        while True:
            await asyncio.sleep(INTERVAL_S)
            await self.look()

    async def look(self) -> None:
        """Looks at what has passed."""
        self.line.look(self.microphone.counted(await self.peer.stats()))

    async def discard(self) -> None:
        """Throws events away, without end: a peer that offers no data channel wants none."""
        while True:
            await self.outbox.peek()
            self.outbox.pop()


def _channel(outbox: Outbox, offer: Offer, settings: Settings) -> EventChannel:
    return EventChannel(
        outbox,
        max_message_bytes=offer.max_message_bytes,
        send_timeout_s=settings.send_timeout_s,
        max_waiting_events=settings.max_waiting_events,
        max_waiting_bytes=settings.max_waiting_bytes,
    )
