"""`GET /v1/realtime` as a WebSocket, and `/api-ws/v1/realtime`: transports that only pump.

Knows the handshake and when to hang up. Does not know what any event means.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from server import pumps, resuming
from server.conversation import Conversation
from server.errors import ServerError
from server.gateway import Gateway
from server.intents import MakeSession, check_intent, session_for
from server.lifetime import Lifetime
from server.outbox import Outbox
from server.sessions import new_qwen_session, new_session
from server.sideband import Sideband, join_call
from server.telemetry.watch import ConversationWatch
from streaming.protocol.qwen.events import ga_view
from streaming.protocol.qwen.session import QwenSession
from streaming.protocol.session import RealtimeSession

logger = logging.getLogger("omnilive.realtime")

SUBPROTOCOL = "realtime"
CALL_ID = "call_id"

AnySession = RealtimeSession | QwenSession


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """A protocol that conversations are held in.

    Attributes:
        make_session: makes its side of one.
        ga_view: what an event of it is in the GA protocol, for the clocks.
        resumes: its conversations may survive their socket.
    """

    make_session: MakeSession[AnySession]
    ga_view: Callable[[dict[str, Any]], dict[str, Any]] = lambda event: event
    resumes: bool = False


OPENAI = Dialect(make_session=new_session, resumes=True)
QWEN = Dialect(make_session=new_qwen_session, ga_view=ga_view)


async def realtime(websocket: WebSocket) -> None:
    """Serves a client of OpenAI's protocol: a conversation of its own, or a line into a call."""
    if CALL_ID in websocket.query_params:
        gateway: Gateway = websocket.app.state.gateway
        sideband = Sideband(gateway.settings)
        await _host(websocket, sideband.outbox, partial(join_call, websocket, gateway, sideband))
    else:
        await _talk(websocket, OPENAI)


async def qwen_realtime(websocket: WebSocket) -> None:
    """Serves a client of Qwen-Omni-Realtime; known by its path, for the server greets first."""
    await _talk(websocket, QWEN)


async def _talk(websocket: WebSocket, dialect: Dialect) -> None:
    """Serves one client with a conversation of its own."""
    gateway: Gateway = websocket.app.state.gateway
    settings = gateway.settings
    watch = gateway.telemetry.watch("websocket")
    outbox = Outbox(
        max_events=settings.send_queue_events,
        max_bytes=settings.send_queue_bytes,
        noted=lambda event: watch.noted(dialect.ga_view(event)),
    )
    await _host(websocket, outbox, partial(_begin, websocket, gateway, outbox, watch, dialect))


async def _begin(
    websocket: WebSocket,
    gateway: Gateway,
    outbox: Outbox,
    watch: ConversationWatch,
    dialect: Dialect,
) -> None:
    if dialect.resumes and resuming.wanted(websocket, gateway.settings):
        await resuming.serve(websocket, gateway, watch)
    else:
        await _serve(websocket, gateway, outbox, watch, dialect.make_session)


async def _host(
    websocket: WebSocket, outbox: Outbox, serve: Callable[[], Coroutine[Any, Any, None]]
) -> None:
    """Serves one client from its handshake until either side hangs up.

    A client that may not come in is told so by an `error` event, which browsers can read too, and
    not by a status that only some clients can.
    """
    settings = websocket.app.state.gateway.settings
    await websocket.accept(subprotocol=choose_subprotocol(websocket.scope["subprotocols"]))
    try:
        await serve()
    except ServerError as error:
        logger.info("hanging up: %s", error.code)
        await pumps.hang_up(websocket, outbox, error, settings.send_timeout_s)
    except Exception:  # a fault of ours: it ends this connection, is logged, and is reported
        logger.exception("a connection failed")
        fault = ServerError("the server failed in this conversation; its log says why")
        await pumps.hang_up(websocket, outbox, fault, settings.send_timeout_s)


def choose_subprotocol(offered: Sequence[str]) -> str | None:
    """Returns `realtime` if it was offered (browsers need it back), else none."""
    return SUBPROTOCOL if SUBPROTOCOL in offered else None


async def _serve(
    websocket: WebSocket,
    gateway: Gateway,
    outbox: Outbox,
    watch: ConversationWatch,
    make_session: MakeSession[AnySession],
) -> None:
    """Opens a conversation and pumps until the client leaves.

    Raises:
        ServerError: The first thing that ended the conversation from our side.
    """
    with gateway.telemetry.recorder.door("websocket"):
        visitor = gateway.doors.let_in(websocket)
        intent = websocket.query_params.get("intent")
        check_intent(intent)
        ready = gateway.admit(websocket.query_params.get("model"), visitor)
    lifetime = Lifetime(gateway.settings, gateway.draining)
    with gateway.seat(visitor) as conversation_id:
        conversation = Conversation(
            conversation_id=conversation_id,
            session=session_for(visitor, intent, gateway, ready, watch, make_session),
            engine=gateway.engine,
            outbox=outbox,
            lifetime=lifetime,
            watch=watch,
        )
        with closing(conversation), _end_noted(watch):
            with gateway.telemetry.recorder.door("websocket"):
                await conversation.open()
            watch.opened(conversation_id)
            timeout_s = gateway.settings.send_timeout_s
            await _pump(websocket, conversation, outbox, lifetime, timeout_s)


@contextmanager
def _end_noted(watch: ConversationWatch) -> Iterator[None]:
    """Tells the watch what ended the block; a client that leaves is no error.

    Raises:
        ServerError: It was this.
    """
    try:
        yield
    except* WebSocketDisconnect:
        watch.ends("client_left")
        logger.info("the client left")
    except* ServerError as errors:
        # Several may come at once; any of them says why this conversation is over.
        first = errors.exceptions[0]
        watch.ends(first.code if isinstance(first, ServerError) else ServerError.code)
        raise first from None


async def _pump(
    websocket: WebSocket,
    conversation: Conversation,
    outbox: Outbox,
    lifetime: Lifetime,
    timeout_s: float,
) -> None:
    """Passes on what comes from either side, until one of them ends it."""
    async with asyncio.TaskGroup() as group:
        tasks = {
            "receive": pumps.receive(websocket, conversation),
            "send": pumps.send(websocket, outbox, timeout_s),
            "follow": conversation.follow_engine(),
            "expire": lifetime.end(),
        }
        for name, task in tasks.items():
            group.create_task(task, name=f"{conversation.conversation_id} {name}")
