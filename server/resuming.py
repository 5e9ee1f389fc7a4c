"""The WebSocket of a client that may be cut off and come back: it asks for that in its address.

    /v1/realtime?x_resume=1             a new conversation; `session.created` carries a token
    /v1/realtime?x_resume=1&x_after=N   the same one again, behind event number N; its token comes
                                        as the subprotocol `x-resume.TOKEN`, which no log shows

Knows the handshake and who is told what. How long a conversation waits is `held.py`, what is kept
of it `streaming/protocol/sent_log.py`.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import ExitStack

import orjson
from starlette.websockets import WebSocket, WebSocketDisconnect

from server import pumps
from server.conversation import Conversation
from server.doors import Visitor
from server.errors import BadResumeError, ServerError
from server.feed import Feed
from server.gateway import Gateway
from server.held import Held, new_token
from server.intents import check_intent, session_for
from server.lifetime import Lifetime
from server.sessions import new_session
from server.settings import Settings
from server.telemetry.watch import ConversationWatch
from streaming.logs import CONVERSATION
from streaming.protocol import resumption
from streaming.protocol.resumption import Event

logger = logging.getLogger("omnilive.realtime")

SUBPROTOCOL_TOKEN = "x-resume."
# The close code of a client that is done; every other one may be a line that was cut.
DONE = 1000


def wanted(websocket: WebSocket, settings: Settings) -> bool:
    """Whether this client asks for a conversation that can be resumed, and may have one.

    Raises:
        BadResumeError: It asks in a way that means nothing.
    """
    asked = websocket.query_params.get("x_resume")
    if asked not in (None, "0", "1"):
        raise BadResumeError(f"x_resume={asked[:20]!r}: expected 0 or 1")
    return asked == "1" and settings.resume_window_s > 0


async def serve(websocket: WebSocket, gateway: Gateway, watch: ConversationWatch) -> None:
    """Takes a conversation up or opens one, and pumps until the client leaves or is cut off.

    Raises:
        ServerError: What ended this connection from our side, if the client is not told yet.
    """
    token, after = _token_of(websocket), _after(websocket)
    with gateway.telemetry.recorder.door("websocket"):
        held = None if token is None else gateway.held.find(token)
        visitor = gateway.doors.let_in(websocket, None if held is None else held.visitor)
        if held is not None and held.visitor.identity.owner != visitor.identity.owner:
            held = None  # somebody else's, who is told no more than that it is not there
        if held is not None:
            gateway.doors.count_opening(visitor)
            CONVERSATION.set(held.conversation.conversation_id)  # of what this socket logs
    if held is not None:
        if after > held.feed.log.last:
            gateway.telemetry.recorder.came_back("refused")
            raise BadResumeError(f"x_after={after}: the newest event is {held.feed.log.last}")
        await _attend(websocket, gateway, held, after)
        return
    if token is not None:
        gateway.telemetry.recorder.came_back("conversation_gone")
        gone = resumption.conversation_gone(gateway.settings.resume_window_s)
        await _say(websocket, gone)
    with gateway.telemetry.recorder.door("websocket"):
        held = await _open(websocket, gateway, visitor, watch)
    await _attend(websocket, gateway, held, None)


async def _open(
    websocket: WebSocket, gateway: Gateway, visitor: Visitor, watch: ConversationWatch
) -> Held:
    settings = gateway.settings
    intent = websocket.query_params.get("intent")
    check_intent(intent)
    ready = gateway.admit(websocket.query_params.get("model"), visitor)
    token = new_token()
    feed = Feed(settings, resumption.offer(token, settings.resume_window_s), watch.noted)
    lifetime = Lifetime(settings, gateway.draining)
    with ExitStack() as seat:
        conversation = Conversation(
            conversation_id=seat.enter_context(gateway.seat(visitor)),
            session=session_for(visitor, intent, gateway, ready, watch, new_session),
            engine=gateway.engine,
            outbox=feed,
            lifetime=lifetime,
            watch=watch,
        )
        seat.callback(conversation.close)
        await conversation.open()
        watch.opened(conversation.conversation_id)
        held = Held(
            conversation=conversation,
            feed=feed,
            lifetime=lifetime,
            watch=watch,
            window_s=settings.resume_window_s,
            visitor=visitor,
            seat=seat.pop_all(),
        )
    gateway.held.start(held, token)
    return held


async def _attend(websocket: WebSocket, gateway: Gateway, held: Held, after: int | None) -> None:
    """Is the conversation's socket until the client leaves, is cut off, or has to go."""
    timeout_s = gateway.settings.send_timeout_s
    async with held.attached():
        try:
            if after is None:
                held.feed.attach(0)
            else:
                event = await _take_up(held, after)
                gateway.telemetry.recorder.came_back(event.get("code", "resumed"))
                await _say(websocket, event)
            async with asyncio.TaskGroup() as group:
                group.create_task(pumps.receive(websocket, held), name="receive")
                group.create_task(pumps.send(websocket, held.feed, timeout_s), name="send")
                group.create_task(held.displaced(), name="displaced")
                group.create_task(held.ended(), name="ended")
        except* WebSocketDisconnect as left:
            if any(gone.code == DONE for gone in _leaves(left)):
                held.leave()
        except* ServerError as errors:
            if held.end is None:
                raise errors.exceptions[0] from None
            await pumps.hang_up(websocket, held.feed, held.end, timeout_s)


async def _take_up(held: Held, after: int) -> Event:
    """Puts the socket behind that event, or where that cannot be, behind the newest."""
    log = held.feed.log
    snapshot = await held.conversation.snapshot()
    # Nothing is waited for from here on: the snapshot is what the newest event leads to.
    if log.holds_after(after):
        event = resumption.resumed(missed=log.last - after, received=held.received)
        held.feed.attach(after)
    else:
        event = resumption.events_lost(
            snapshot, after=after, last=log.last, first=log.first, received=held.received
        )
        held.feed.attach(log.last)
    return event


async def _say(websocket: WebSocket, event: Event) -> None:
    await websocket.send_text(orjson.dumps(event).decode())


def _leaves(group: BaseExceptionGroup[WebSocketDisconnect]) -> list[WebSocketDisconnect]:
    return [error for error in group.exceptions if isinstance(error, WebSocketDisconnect)]


def _token_of(websocket: WebSocket) -> str | None:
    for offered in websocket.scope["subprotocols"]:
        if offered.startswith(SUBPROTOCOL_TOKEN):
            return str(offered[len(SUBPROTOCOL_TOKEN) :])
    return None


def _after(websocket: WebSocket) -> int:
    asked = websocket.query_params.get("x_after", "0")
    if not (asked.isascii() and asked.isdigit() and len(asked) <= 15):
        raise BadResumeError(f"x_after={asked[:20]!r}: expected the number of an event")
    return int(asked)
