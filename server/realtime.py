"""`GET /v1/realtime` as a WebSocket: a transport that only pumps.

Knows the handshake and when to hang up. Does not know what any event means.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from starlette.websockets import WebSocket, WebSocketDisconnect

from server import pumps, resuming
from server.conversation import Conversation
from server.errors import ServerError
from server.gateway import Gateway
from server.lifetime import Lifetime
from server.outbox import Outbox
from server.sessions import new_session
from server.telemetry.watch import ConversationWatch

logger = logging.getLogger("omnilive.realtime")

SUBPROTOCOL = "realtime"


async def realtime(websocket: WebSocket) -> None:
    """Serves one client from its handshake until either side hangs up.

    A client that may not come in is told so by an `error` event, which browsers can read too, and
    not by a status that only some clients can.
    """
    gateway: Gateway = websocket.app.state.gateway
    settings = gateway.settings
    watch = gateway.telemetry.watch("websocket")
    outbox = Outbox(
        max_events=settings.send_queue_events,
        max_bytes=settings.send_queue_bytes,
        noted=watch.noted,
    )
    await websocket.accept(subprotocol=choose_subprotocol(websocket.scope["subprotocols"]))
    try:
        if resuming.wanted(websocket, settings):
            await resuming.serve(websocket, gateway, watch)
        else:
            await _serve(websocket, gateway, outbox, watch)
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
    websocket: WebSocket, gateway: Gateway, outbox: Outbox, watch: ConversationWatch
) -> None:
    """Opens a conversation and pumps until the client leaves.

    Raises:
        ServerError: The first thing that ended the conversation from our side.
    """
    with gateway.telemetry.recorder.door("websocket"):
        visitor = gateway.doors.let_in(websocket)
        ready = gateway.admit(websocket.query_params.get("model"), visitor)
    lifetime = Lifetime(gateway.settings, gateway.draining)
    with gateway.seat(visitor) as conversation_id:
        conversation = Conversation(
            conversation_id=conversation_id,
            session=new_session(ready, gateway.settings, watch, visitor.identity.session),
            engine=gateway.engine,
            outbox=outbox,
            lifetime=lifetime,
            watch=watch,
        )
        try:
            with gateway.telemetry.recorder.door("websocket"):
                await conversation.open()
            watch.opened(conversation_id)
            timeout_s = gateway.settings.send_timeout_s
            await _pump(websocket, conversation, outbox, lifetime, timeout_s)
        except* WebSocketDisconnect:
            watch.ends("client_left")
            logger.info("the client left")
        except* ServerError as errors:
            # Several may come at once; any of them says why this conversation is over.
            first = errors.exceptions[0]
            watch.ends(first.code if isinstance(first, ServerError) else ServerError.code)
            raise first from None
        finally:
            conversation.close()


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
