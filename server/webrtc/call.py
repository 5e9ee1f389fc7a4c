"""One call: a peer wired to a conversation, from its offer until everything is cleaned up.

Knows which tasks pump what, and what ends a call. Does not know SDP, packets or the protocol.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import ExitStack, aclosing
from functools import partial
from typing import Any
from uuid import uuid4

from server.conversation import Conversation
from server.doors import Visitor
from server.errors import EngineLostError, ServerError
from server.gateway import Gateway
from server.lifetime import Lifetime
from server.outbox import Outbox
from server.sessions import new_live_session
from server.telemetry.line import INTERVAL_S, LineWatch
from server.webrtc.camera import Camera
from server.webrtc.channel import EventChannel
from server.webrtc.errors import (
    CallError,
    CallFullError,
    CallLostError,
    CallOverError,
    ConnectTimeoutError,
    HungUpError,
    OfferError,
)
from server.webrtc.microphone import RATE_HZ, Microphone
from server.webrtc.offer import Offer
from server.webrtc.peer import Peer
from server.webrtc.registry import Listener
from server.webrtc.speaker import Speaker
from streaming.engine.messages.events import EngineReady
from streaming.media.errors import FrameError, PlayoutFullError
from streaming.media.formats import PCM_48K
from streaming.media.playout import Frame, Playout
from streaming.protocol.errors import ProtocolError

logger = logging.getLogger("omnilive.webrtc")

LAST_WORD_TIMEOUT_S = 1.0
# Ends that nobody needs to be told of: the peer is gone, or asked for it.
QUIET_ENDS = (CallLostError, HungUpError)


class Call:
    """One peer's conversation. `answer` begins it; `run` lives it, and always cleans up."""

    def __init__(
        self,
        gateway: Gateway,
        ready: EngineReady,
        visitor: Visitor,
        session: dict[str, Any] | None,
        offer: Offer,
    ) -> None:
        """Takes a seat for a visitor that was admitted.

        Raises:
            OfferError: The session's options are wrong.
        """
        self.call_id = f"rtc_{uuid4().hex}"
        self.owner = visitor.identity.owner
        settings = gateway.settings
        self._ready = ready
        self._settings = settings
        self._offer = offer
        self._watch = gateway.telemetry.watch("webrtc")
        self._line = LineWatch(gateway.telemetry.metrics.line)
        self._outbox = Outbox(
            max_events=settings.send_queue_events,
            max_bytes=settings.send_queue_bytes,
            noted=self._watch.noted,
        )
        self._playout = Playout()
        try:
            rates = partial(gateway.doors.rates, visitor)
            live = new_live_session(
                ready, settings, self._watch, self._playout, session, rates=rates
            )
        except ProtocolError as error:
            raise OfferError(error.message, error.param, error.code) from None
        self._ended = asyncio.Event()
        self._listeners: list[Listener] = []
        self._reason = ""
        self._heard_samples = 0
        self._lifetime = Lifetime(settings, gateway.draining)
        self.microphone = Microphone(
            max_ahead_s=settings.max_sound_ahead_s, max_waiting_s=settings.max_waiting_sound_s
        )
        self.speaker = Speaker(self._playout, gateway.calls.encoding, watch=self._played)
        self.camera = Camera(
            settings,
            lambda: self._heard_samples * 1000 // RATE_HZ,
            self._line,
            lambda: self._conversation.pictures_thinned,
        )
        self._channel = EventChannel(
            self._outbox,
            max_message_bytes=offer.max_message_bytes,
            send_timeout_s=settings.send_timeout_s,
            max_waiting_events=settings.max_waiting_events,
            max_waiting_bytes=settings.max_waiting_bytes,
        )
        self._peer = Peer(
            gateway.calls.ice,
            self.microphone,
            self.speaker,
            self._channel,
            guarded=self.camera.guarded,
        )
        self._seat = ExitStack()
        self._conversation = Conversation(
            conversation_id=self._seat.enter_context(gateway.seat(visitor)),
            session=live,
            engine=gateway.engine,
            outbox=self._outbox,
            lifetime=self._lifetime,
            watch=self._watch,
        )

    async def answer(self) -> str:
        """Returns the SDP that goes back; a call that fails here is cleaned up.

        Raises:
            ServerError: The engine has no room, or the offer cannot be answered; says why.
        """
        try:
            sdp = await self._peer.answer(self._offer, takes_video=self._takes_video)
            await self._conversation.open()
            self._watch.opened(self._conversation.conversation_id)
        except BaseException:
            await self._close()
            raise
        return sdp

    def hang_up(self, reason: str) -> None:
        """Asks for the call's end."""
        self._reason = reason
        self._ended.set()

    def join(self, listener: Listener) -> None:
        """Lets somebody hear the call's events from now on, beginning with its session.

        Raises:
            CallFullError: As many do as may; names the limit.
        """
        limit = self._settings.max_sidebands
        if len(self._listeners) >= limit:
            raise CallFullError(f"{limit} other lines are in this call (max_sidebands)")
        self._listeners.append(listener)
        listener.take([self._conversation.greeting()])
        self._conversation.listeners.append(listener.take)

    def leave(self, listener: Listener) -> None:
        """Lets them hear no more."""
        if listener in self._listeners:
            self._listeners.remove(listener)
            self._conversation.listeners.remove(listener.take)

    async def receive(self, frame: str | bytes) -> None:
        """Takes an event that does not come from the peer.

        What that leads to may be too much for the peer, and ends the call then.
        """
        try:
            await self._conversation.receive(frame)
        except ServerError as error:
            self.hang_up(str(error))

    async def run(self) -> None:
        """Lives until either side ends the call, or a limit does; then cleans up."""
        end: ServerError | None = None
        try:
            async with asyncio.TaskGroup() as group:
                for name, task in self._tasks().items():
                    group.create_task(task, name=f"{self.call_id} {name}")
        except* ServerError as errors:
            # Several may come at once; any of them says why this call is over.
            first = errors.exceptions[0]
            end = first if isinstance(first, ServerError) else CallError(str(first))
        except* PlayoutFullError as errors:
            end = CallError(str(errors.exceptions[0]))
        except* Exception:  # a fault of ours: it ends this call, is logged, and is reported
            logger.exception("%s: failed", self.call_id)
            end = ServerError("the server failed in this call; its log says why")
        finally:
            await self._end(end)

    def _tasks(self) -> dict[str, Coroutine[Any, Any, None]]:
        tasks = {
            "connect": self._connect(),
            "end": self._wait_for_end(),
            "lost": self._wait_for_loss(),
            "expire": self._lifetime.end(),
            "microphone": self._hear(),
            "playout": self._conversation.follow_playout(self.speaker.frames),
            "follow": self._conversation.follow_engine(),
            "send": self._channel.send() if self._offer.has_channel else self._discard(),
            "receive": self._receive(),
            "measure": self._measure(),
        }
        if self._offer.has_camera:
            tasks["camera"] = self._see()
        return tasks

    @property
    def _takes_video(self) -> bool:
        return "video" in self._ready.inputs

    async def _connect(self) -> None:
        limit_s = self._settings.call_connect_timeout_s
        offered_s = self._watch.now_s()
        try:
            async with asyncio.timeout(limit_s):
                await self._peer.connected.wait()
        except TimeoutError:
            raise ConnectTimeoutError(
                f"no connection within {limit_s} s (call_connect_timeout_s)"
            ) from None
        self._line.connected(self._watch.now_s() - offered_s)
        logger.info("%s: connected", self.call_id)

    async def _wait_for_end(self) -> None:
        await self._ended.wait()
        raise HungUpError(self._reason)

    async def _wait_for_loss(self) -> None:
        await self._peer.ended.wait()
        raise CallLostError("the connection to the peer is gone")

    async def _hear(self) -> None:
        while True:
            sound = await self.microphone.read()
            self._heard_samples += len(sound) // PCM_48K.bytes_per_sample
            await self._conversation.hear(sound, PCM_48K)

    def _played(self, frame: Frame, late_s: float, skipped_frames: int) -> None:
        self._watch.played(frame)
        self._line.paced(late_s, skipped_frames)

    async def _measure(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL_S)
            await self._look()

    async def _look(self) -> None:
        self._line.look(self.microphone.counted(await self._peer.stats()))

    async def _receive(self) -> None:
        while True:
            await self._conversation.receive(await self._channel.receive())

    async def _discard(self) -> None:
        """A peer that offers no data channel wants no events."""
        while True:
            await self._outbox.peek()
            self._outbox.pop()

    async def _see(self) -> None:
        if not self._takes_video:
            takes = " and ".join(self._ready.inputs)
            self._say(f"{self._ready.model_id} takes {takes}, not video; the camera is not watched")
            return
        if self._peer.video is not None:
            try:
                async with aclosing(self.camera.watch(*self._peer.video)) as pictures:
                    async for pixels in pictures:
                        await self._conversation.see(pixels)
            except (FrameError, CallError) as error:
                self._say(f"the camera is turned off: {error}")

    def _say(self, message: str) -> None:
        self._outbox.put([CameraError(message).event()])

    async def _end(self, end: ServerError | None) -> None:
        reason = ServerError.code if end is None else end.code
        logger.info("%s: ends: %s", self.call_id, reason)
        self._watch.ends(reason)
        try:
            await self._look()
            if not isinstance(end, CallLostError):
                told = end is None or isinstance(end, (*QUIET_ENDS, EngineLostError))
                await self._channel.say_last(None if told else end, LAST_WORD_TIMEOUT_S)
        finally:
            await self._close()

    async def _close(self) -> None:
        try:
            await self._peer.close()
        finally:
            self._conversation.close()
            self._seat.close()
            for listener in self._listeners:
                listener.end(CallOverError("the call is over"))


class CameraError(CallError):
    """A camera that is not watched, and why; the call goes on."""

    type = "invalid_request_error"
    code = "camera_off"
