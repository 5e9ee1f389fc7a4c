"""What passes frames between one WebSocket and a conversation, and how a socket is hung up.

Knows frames, close codes and when a peer reads too slowly. Does not know what any event means, nor
who may come in (`realtime.py`).
"""

from __future__ import annotations

import asyncio
import logging
from typing import NoReturn, Protocol

import orjson
from starlette.websockets import WebSocket, WebSocketDisconnect

from server.errors import (
    BadResumeError,
    DrainingError,
    EngineLostError,
    ForbiddenHostError,
    ForbiddenOriginError,
    FullError,
    IdleError,
    IntentError,
    NotReadyError,
    ServerEndsError,
    ServerError,
    SessionExpiredError,
    SlowReaderError,
    TakenOverError,
    TooFastError,
    TooManyOpenError,
    UnauthorizedError,
    UnknownModelError,
)
from server.listener import abort_connection
from server.webrtc.errors import CallFullError, NoSuchCallError

logger = logging.getLogger("omnilive.realtime")

# Close codes of RFC 6455 and of its registry; the reason beside them is at most 123 bytes.
CLOSE_CODES: dict[type[ServerError], int] = {
    UnknownModelError: 1008,
    SlowReaderError: 1008,
    SessionExpiredError: 1001,
    ServerEndsError: 1012,
    IdleError: 1001,
    UnauthorizedError: 1008,
    IntentError: 1008,
    NoSuchCallError: 1008,
    CallFullError: 1013,
    ForbiddenHostError: 1008,
    ForbiddenOriginError: 1008,
    TakenOverError: 1008,
    BadResumeError: 1008,
    TooFastError: 1013,
    TooManyOpenError: 1013,
    EngineLostError: 1011,
    NotReadyError: 1013,
    FullError: 1013,
    DrainingError: 1013,
}
MAX_REASON_BYTES = 123
# What a slow reader is given to read the reason, before its connection is cut.
LAST_WORD_TIMEOUT_S = 1.0


class Receiver(Protocol):
    """What takes a client's frames: a `Conversation`, or one that is `Held`."""

    async def receive(self, frame: str | bytes) -> None:
        """Take one."""


class Frames(Protocol):
    """What waits to be sent: an `Outbox`, or a resumable conversation's `Feed`."""

    async def peek(self) -> str:
        """Return the oldest frame, once there is one."""

    def pop(self) -> None:
        """Forget the oldest frame: it is on its way."""

    def __len__(self) -> int: ...


async def receive(websocket: WebSocket, receiver: Receiver) -> NoReturn:
    """Passes on what the client sends, until it leaves.

    Raises:
        WebSocketDisconnect: It has left; says with which close code.
    """
    while True:
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message["code"], message.get("reason"))
        text = message.get("text")
        await receiver.receive(message["bytes"] if text is None else text)


async def send(websocket: WebSocket, frames: Frames, timeout_s: float) -> NoReturn:
    """Sends what waits, without end.

    Raises:
        SlowReaderError: One write took too long; names the limit.
    """
    while True:
        frame = await frames.peek()
        try:
            async with asyncio.timeout(timeout_s):
                await websocket.send_text(frame)
        except TimeoutError:
            raise SlowReaderError(f"nothing was read for {timeout_s} s (send_timeout_s)") from None
        frames.pop()


async def hang_up(
    websocket: WebSocket, frames: Frames, error: ServerError, timeout_s: float
) -> None:
    """Lets out what waits, says why, and closes; a peer that does not read is cut off instead."""
    slow = isinstance(error, SlowReaderError)
    try:
        async with asyncio.timeout(LAST_WORD_TIMEOUT_S if slow else timeout_s):
            while len(frames) and not slow:
                await websocket.send_text(await frames.peek())
                frames.pop()
            if not isinstance(error, EngineLostError):  # the session has said that itself
                await websocket.send_text(orjson.dumps(error.event()).decode())
            reason = str(error).encode()[:MAX_REASON_BYTES].decode(errors="ignore")
            await websocket.close(CLOSE_CODES.get(type(error), 1011), reason)
    except TimeoutError:
        abort_connection(websocket.scope)
    except (WebSocketDisconnect, RuntimeError):
        logger.info("the client left before it could be told: %s", error.code)
