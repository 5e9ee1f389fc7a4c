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
from server.sessions import new_live_session
from server.telemetry.loudspeaker import WatchedLoudspeaker
from server.webrtc.ends import Ends
from server.webrtc.errors import (
    CallError,
    CallLostError,
    CameraError,
    HungUpError,
    OfferError,
)
from server.webrtc.listeners import Listeners
from server.webrtc.offer import Offer
from streaming.engine.messages.events import EngineReady
from streaming.media.errors import FrameError, PlayoutFullError
from streaming.media.formats import PCM_48K
from streaming.media.playout import Playout
from streaming.protocol.errors import ProtocolError

logger = logging.getLogger("omnilive.webrtc")

LAST_WORD_TIMEOUT_S = 1.0
# Ends that nobody needs to be told of: the peer is gone, or asked for it.
QUIET_ENDS = (CallLostError, HungUpError)


class Call:
    """One peer's conversation. `answer` begins it; `run` lives it, and always cleans up.

    Attributes:
        visitor: Who opened it.
        listeners: Whoever is in it beside the peer.
    """

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
        self.visitor = visitor
        settings, playout = gateway.settings, Playout()
        self._ready, self._offer, self._settings = ready, offer, settings
        self._watch = watch = gateway.telemetry.watch("webrtc")
        rates = partial(gateway.doors.rates, visitor)
        loudspeaker = WatchedLoudspeaker(playout, watch.pushed)
        try:
            live = new_live_session(ready, settings, watch, loudspeaker, session, rates=rates)
        except ProtocolError as error:
            raise OfferError(error.message, error.param, error.code) from None
        self._ends = Ends.of(gateway, offer, watch, playout)
        self._lifetime = Lifetime(settings, gateway.draining)
        self._seat = ExitStack()
        self._conversation = Conversation(
            conversation_id=self._seat.enter_context(gateway.seat(visitor)),
            session=live,
            engine=gateway.engine,
            outbox=self._ends.outbox,
            lifetime=self._lifetime,
            watch=watch,
        )
        self.listeners = Listeners(self._conversation, settings.max_sidebands)
        self._ended = asyncio.Event()
        self._reason = ""

    async def answer(self) -> str:
        """Returns the SDP that goes back; a call that fails here is cleaned up.

        Raises:
            ServerError: The engine has no room, or the offer cannot be answered; says why.
        """
        try:
            sdp = await self._ends.peer.answer(self._offer, takes_video=self._takes_video)
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
        ends, conversation = self._ends, self._conversation
        tasks = {
            "connect": self._connect(),
            "end": self._wait_for_end(),
            "lost": ends.lost(),
            "expire": self._lifetime.end(),
            "microphone": self._hear(),
            "playout": conversation.follow_playout(ends.speaker.frames),
            "follow": conversation.follow_engine(),
            "send": ends.channel.send() if self._offer.has_channel else ends.discard(),
            "receive": self._receive(),
            "listeners": self.listeners.follow(),
            "measure": ends.measure(),
        }
        if self._offer.has_camera:
            tasks["camera"] = self._see()
        return tasks

    @property
    def _takes_video(self) -> bool:
        return "video" in self._ready.inputs

    async def _connect(self) -> None:
        await self._ends.connected(self._settings.call_connect_timeout_s, self._watch)
        logger.info("%s: connected", self.call_id)

    async def _wait_for_end(self) -> None:
        await self._ended.wait()
        raise HungUpError(self._reason)

    async def _hear(self) -> None:
        while True:
            await self._conversation.hear(await self._ends.microphone.read(), PCM_48K)

    async def _receive(self) -> None:
        while True:
            await self._conversation.receive(await self._ends.channel.receive())

    async def _see(self) -> None:
        if not self._takes_video:
            takes = " and ".join(self._ready.inputs)
            self._say(f"{self._ready.model_id} takes {takes}, not video; the camera is not watched")
            return
        video, conversation = self._ends.peer.video, self._conversation
        if video is not None:
            watching = self._ends.camera.watch(*video, lambda: conversation.pictures_thinned)
            try:
                async with aclosing(watching) as pictures:
                    async for pixels in pictures:
                        await conversation.see(pixels)
            except (FrameError, CallError) as error:
                self._say(f"the camera is turned off: {error}")

    def _say(self, message: str) -> None:
        self._ends.outbox.put([CameraError(message).event()])

    async def _end(self, end: ServerError | None) -> None:
        reason = ServerError.code if end is None else end.code
        logger.info("%s: ends: %s", self.call_id, reason)
        self._watch.ends(reason)
        try:
            await self._ends.look()
            if not isinstance(end, CallLostError):
                told = end is None or isinstance(end, (*QUIET_ENDS, EngineLostError))
                await self._ends.channel.say_last(None if told else end, LAST_WORD_TIMEOUT_S)
        finally:
            await self._close()

    async def _close(self) -> None:
        try:
            await self._ends.peer.close()
        finally:
            self._conversation.close()
            self._seat.close()
            self.listeners.end()
